"""Training of key and value projections through a plain twin of the model, several updates at once.

The weights stay as they are: ΔW is added to what a projection gives out, x·(W + ΔW)ᵀ = x·Wᵀ + x·ΔWᵀ, and its gradient is
the product of the projection's inputs with the gradient at its outputs, so no graph holds a weight. Learning rates, and
other labels or orders of the demonstrations, are rows of one batch, each with a ΔW of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iclmech._base import Guard, UpdateError
from iclmech.models import ICLModel, Parameter, Twin, twin_of, user_hooks

from ._blocks import Blocks
from ._parameter_layout import KINDS
from ._samples import Sample
from ._side_by_side import SideBySide
from ._step import ADVICE, Step

PlainWay = Literal["through", "batched", "layerwise"]
"""Gradient descent, and the two strategies of layer-causal gradient descent."""

_LOGITS = 16 * 2**20
"""Bytes of logits that are held at a time."""
_TOKENS = 1024
"""Tokens that rows may take together."""


def plain_twin(model: ICLModel, parameters: list[Parameter], longest: int) -> Twin | None:
    """The twin that may stand in for the model in training these parameters on sequences up to `longest`, or None."""
    if any(parameter.kind not in KINDS for parameter in parameters) or model.dtype not in (
        torch.float32,
        torch.float64,
    ):
        return None
    short = any(window is not None and window < longest for window in model.backend.local_windows())
    if short or user_hooks(model):
        return None
    twin = twin_of(model)
    return twin if isinstance(twin, Twin) else None


class PlainRun:
    """ΔW of every parameter for every row (a learning rate and its samples), and the steps that make it."""

    def __init__(self, model: ICLModel, twin: Twin, parameters: list[Parameter], rates: Sequence[float], way: PlainWay):
        self.model, self.twin, self.parameters, self.rates, self.way = model, twin, parameters, list(rates), way
        twin.refresh()
        self.deltas = {
            parameter.name: parameter.tensor.new_zeros(len(self.rates), *parameter.tensor.shape)
            for parameter in parameters
        }
        self.losses: list[list[Any]] = [[] for _ in self.rates]
        self._taps: dict[nn.Module, list[tuple[Parameter, slice | Tensor]]] = defaultdict(list)
        for parameter in parameters:
            module, outputs = twin.place(parameter.tensor)
            self._taps[module].append((parameter, outputs))
        self._seen: list[tuple[nn.Module, Tensor, Tensor]] = []
        self._blocks: Blocks | None = None

    @staticmethod
    def rows_at_once(samples: Sequence[Sample]) -> int:
        """How many rows go through together."""
        return max(1, _TOKENS // max(len(sample) for sample in samples))

    def step(self, samples: list[SideBySide], steps: Sequence[Step]) -> None:
        """One step of every row on the mean over `samples`."""
        found: list[list[tuple[Parameter, Tensor, Tensor]]] = []
        values: list[Tensor] = []
        for sample in samples:
            losses, factors = self._gradients(sample, steps)
            values.append(losses)
            found.append(factors)
        mean = (torch.stack(values).sum(0) / len(values)).tolist()
        for row, losses in zip(self.losses, mean, strict=True):
            row.append(losses)
        for factors in found:
            self._descend(factors, steps, len(samples))

    def results(self) -> list[tuple[dict[str, Tensor], list[Any]]]:
        """For every row ΔW on the CPU and the losses; ΔW is handed over and no longer here.

        Raises `UpdateError` for a ΔW that is not finite.
        """
        found: list[dict[str, Tensor]] = [{} for _ in self.rates]
        for name in list(self.deltas):
            delta = self.deltas.pop(name)
            if not bool(delta.isfinite().all()):
                raise UpdateError(f"the sum of steps in {name} is not finite after the last step. {ADVICE}")
            for own, part in zip(found, delta, strict=True):
                own[name] = part.to("cpu", copy=len(delta) > 1)
        return list(zip(found, self.losses, strict=True))

    def _gradients(
        self, sample: SideBySide, steps: Sequence[Step]
    ) -> tuple[Tensor, list[tuple[Parameter, Tensor, Tensor]]]:
        """Losses [row] or [row, layer]; and for every parameter gradients at its outputs and its inputs."""
        inputs = sample.inputs.expand(len(self.rates), *sample.inputs.shape[1:])
        self._blocks = blocks = Blocks(self.twin, inputs, sample.at, sample.few)
        kept: list[Tensor] = []
        columns: list[Tensor] = []
        factors: list[tuple[Parameter, Tensor, Tensor]] = []

        def read(layers: Sequence[int | None]) -> None:
            outputs = torch.stack(kept, 1)
            kept.clear()
            losses, pull = self._read(outputs, sample)
            for now, row in zip(steps, losses.tolist(), strict=True):
                now.check_loss(row, layers)
            columns.append(losses)
            factors.extend(self._take(outputs, pull))

        def take(layer: int, resid: Tensor) -> None:
            kept.append(resid)
            if self.way == "layerwise":
                read([layer])

        with Guard(self._tap):
            if self.way == "through":
                kept.append(blocks.through())
                read([None])
                return columns[0][:, 0], factors
            blocks.layer_by_layer(take)
            if kept:
                read(range(len(kept)))
        return torch.cat(columns, 1), factors

    def _read(
        self, outputs: Float[Tensor, "row layer counted d_model"], sample: SideBySide
    ) -> tuple[Float[Tensor, "row layer"], Float[Tensor, "row layer counted d_model"]]:
        """Losses of blocks' outputs, and the gradients of their sum; the logits are there a few tokens at a time."""
        rows, numbers = outputs.detach().flatten(0, 2), sample.numbers(*outputs.shape[:2]).flatten()
        at_once = max(1, _LOGITS // (self.model.shape.d_vocab * rows.dtype.itemsize))
        found: list[tuple[Tensor, Tensor]] = []
        for part, places in zip(rows.split(at_once), numbers.split(at_once), strict=True):
            part.requires_grad_(True)
            lost = sample.losses(self.twin.readout(part[None])[0], places)
            (gradient,) = torch.autograd.grad(lost.sum(), part)
            found.append((lost.detach(), gradient))
        losses, pull = (torch.cat(parts) for parts in zip(*found, strict=True))
        return sample.mean(losses.view(outputs.shape[:3])), sample.shared(pull.view_as(outputs))

    def _take(self, outputs: Tensor, pull: Tensor) -> list[tuple[Parameter, Tensor, Tensor]]:
        """Gradients at the outputs of all projections seen since the last call, with their inputs.

        `pull`: the gradient at `outputs`.
        """
        seen, self._seen = self._seen, []
        if not seen:
            return []
        gradients = torch.autograd.grad(outputs, [output for _, _, output in seen], pull)
        return [
            (parameter, gradient[..., places], inputs)
            for (module, inputs, _), gradient in zip(seen, gradients, strict=True)
            for parameter, places in self._taps[module]
        ]

    @torch.no_grad()
    def _descend(self, factors: list[tuple[Parameter, Tensor, Tensor]], steps: Sequence[Step], n: int) -> None:
        rates = torch.tensor(self.rates, dtype=self.model.dtype, device=self.model.device)[:, None, None] / n
        for parameter, gradient, inputs in factors:
            if not bool(gradient.isfinite().all()):
                bad = next(r for r in range(len(gradient)) if not bool(gradient[r].isfinite().all()))
                raise steps[bad].error("gradient of", parameter)
            delta, scaled = self.deltas[parameter.name], gradient * -rates
            if delta.ndim == 2:
                delta.add_(scaled.sum(1))
            elif len(delta) == 1:
                delta[0].addmm_(scaled[0].T, inputs[0])
            else:
                delta.baddbmm_(scaled.mT, inputs)

    def _tap(self, guard: Guard) -> None:
        guard.undo(self._forget)
        for module in self._taps:
            guard.hook(module, self._project)

    def _forget(self) -> None:
        self._seen = []

    def _project(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Add x·ΔWᵀ to what a projection gives out, and keep both ends of it."""
        if self._blocks is None or self._blocks.repeating:
            return None  # its keys and values are not used
        inputs = args[0].expand(len(self.rates), -1, -1)
        if self.losses[0]:  # else ΔW is 0
            for parameter, outputs in self._taps[module]:
                delta = self.deltas[parameter.name]
                change = inputs @ delta.mT if delta.ndim == 3 else delta[:, None]
                output[..., outputs] += change
        if torch.is_grad_enabled():
            if not output.requires_grad:
                output.requires_grad_(True)
            self._seen.append((module, inputs.detach(), output))
        return output
