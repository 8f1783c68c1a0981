"""Training of key and value projections through a plain twin of the model, several learning rates at once.

The weights stay as they are: ΔW is added to what a projection gives out, x·(W + ΔW)ᵀ = x·Wᵀ + x·ΔWᵀ, and its gradient is
the product of the projection's inputs with the gradient at its outputs, so no graph holds a weight. Learning rates are
rows of one batch, each with a ΔW of its own.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from iclmech._base import UpdateError
from iclmech.models import ICLModel, Leaf, Twin, twin_of, user_hooks

from ._clock import ADVICE, Clock
from ._layout import KINDS
from ._pass import Blocks
from ._sequences import Sample, loss_of

PlainWay = Literal["through", "batched", "layerwise"]
"""Gradient descent, and the two strategies of layer-causal gradient descent."""

verdicts: WeakKeyDictionary[Twin, dict[str, bool]] = WeakKeyDictionary()
"""For every twin, which ways gave the hooked model's weight changes when they were tried."""

_LONG = 48
"""From this length on, running blocks again where the loss reads is quicker than a graph of all tokens; below it, both
cost about as much as reading the weights."""
_LOGITS = 256 * 2**20
"""Bytes of logits that rates may take together."""
_TOKENS = 1024
"""Tokens that rates may take together."""


def plain_twin(model: ICLModel, leaves: list[Leaf], longest: int) -> Twin | None:
    """The twin that may stand in for the model in training these leaves on sequences up to `longest`, or None."""
    if any(leaf.kind not in KINDS for leaf in leaves) or model.dtype not in (torch.float32, torch.float64):
        return None
    short = any(window is not None and window < longest for window in model.backend.local_windows())
    if short or user_hooks(model):
        return None
    twin = twin_of(model)
    return twin if isinstance(twin, Twin) else None


class PlainRun:
    """ΔW of every leaf for every rate, and the steps that make it."""

    def __init__(self, model: ICLModel, twin: Twin, leaves: list[Leaf], rates: Sequence[float], way: PlainWay):
        self.model, self.twin, self.leaves, self.rates, self.way = model, twin, leaves, list(rates), way
        twin.refresh()
        self.deltas = {leaf.name: leaf.tensor.new_zeros(len(self.rates), *leaf.tensor.shape) for leaf in leaves}
        self.losses: list[list[Any]] = [[] for _ in self.rates]
        self._taps: dict[nn.Module, list[tuple[Leaf, slice | Tensor]]] = defaultdict(list)
        for leaf in leaves:
            module, outputs = twin.place(leaf.tensor)
            self._taps[module].append((leaf, outputs))
        self._seen: list[tuple[nn.Module, Tensor, Tensor]] = []
        self._blocks: Blocks | None = None

    @staticmethod
    def few(way: PlainWay, sample: Sample) -> bool:
        """Whether blocks are run again where the loss reads, instead of keeping the graph of all tokens."""
        n, counted = len(sample.tokens), sample.stop - sample.start
        return 2 * counted <= n and (way == "layerwise" or n >= _LONG)

    @staticmethod
    def rates_at_once(model: ICLModel, samples: Sequence[Sample]) -> int:
        """How many learning rates go through together."""
        counted = max(sample.stop - sample.start for sample in samples)
        logits = model.shape.n_layers * counted * model.shape.d_vocab * model.dtype.itemsize
        return max(1, min(_LOGITS // logits, _TOKENS // max(len(sample.tokens) for sample in samples)))

    def step(self, samples: list[Sample], clocks: Sequence[Clock]) -> None:
        """One step of every rate on the mean over `samples`."""
        found: list[list[tuple[Leaf, Tensor, Tensor]]] = []
        values: list[Tensor] = []
        for sample in samples:
            losses, factors = self._gradients(sample, clocks)
            values.append(losses)
            found.append(factors)
        mean = (torch.stack(values).sum(0) / len(values)).tolist()
        for row, losses in zip(self.losses, mean, strict=True):
            row.append(losses)
        for factors in found:
            self._descend(factors, clocks, len(samples))

    def results(self) -> list[tuple[dict[str, Tensor], list[Any]]]:
        """For every rate ΔW on the CPU and the losses. Raises `UpdateError` for a ΔW that is not finite."""
        for name, delta in self.deltas.items():
            if not bool(delta.isfinite().all()):
                raise UpdateError(f"the sum of steps in {name} is not finite after the last step. {ADVICE}")
        return [
            ({name: delta[r].to("cpu", copy=True) for name, delta in self.deltas.items()}, losses)
            for r, losses in enumerate(self.losses)
        ]

    def _gradients(self, sample: Sample, clocks: Sequence[Clock]) -> tuple[Tensor, list[tuple[Leaf, Tensor, Tensor]]]:
        """Losses [rate] or [rate, layer]; and for every leaf gradients at its outputs and its inputs."""
        tokens = sample.inputs(self.model.device).expand(len(self.rates), -1)
        self._blocks = blocks = Blocks(self.twin, tokens, sample.positions, self.few(self.way, sample))  # type: ignore[arg-type]  # one of the ways
        with self._tapped():
            if self.way == "through":
                losses = loss_of(self.model.readout(blocks.through()), sample)
                self._check(clocks, losses[:, None], [None])
                return losses.detach(), self._take(losses.sum())
            if self.way == "batched":
                kept: list[Tensor] = []
                blocks.layer_by_layer(lambda layer, resid: kept.append(resid))
                losses = loss_of(self.model.readout(torch.stack(kept, 1)), sample)
                self._check(clocks, losses, range(losses.shape[1]))
                return losses.detach(), self._take(losses.sum())
            return self._layerwise(blocks, sample, clocks)

    def _layerwise(
        self, blocks: Blocks, sample: Sample, clocks: Sequence[Clock]
    ) -> tuple[Tensor, list[tuple[Leaf, Tensor, Tensor]]]:
        columns: list[Tensor] = []
        factors: list[tuple[Leaf, Tensor, Tensor]] = []

        def learn(layer: int, resid: Tensor) -> None:
            losses = loss_of(self.model.readout(resid), sample)
            self._check(clocks, losses[:, None], [layer])
            columns.append(losses.detach())
            factors.extend(self._take(losses.sum()))

        blocks.layer_by_layer(learn)
        return torch.stack(columns, 1), factors

    def _check(self, clocks: Sequence[Clock], losses: Tensor, layers: Sequence[int | None]) -> None:
        for clock, row in zip(clocks, losses.tolist(), strict=True):
            clock.check_loss(row, layers)

    def _take(self, value: Tensor) -> list[tuple[Leaf, Tensor, Tensor]]:
        """Gradients of `value` at the outputs of all projections seen since the last call, with their inputs."""
        seen, self._seen = self._seen, []
        if not seen:
            return []
        gradients = torch.autograd.grad(value, [output for _, _, output in seen])
        return [
            (leaf, gradient[..., outputs], inputs)
            for (module, inputs, _), gradient in zip(seen, gradients, strict=True)
            for leaf, outputs in self._taps[module]
        ]

    @torch.no_grad()
    def _descend(self, factors: list[tuple[Leaf, Tensor, Tensor]], clocks: Sequence[Clock], n: int) -> None:
        rates = torch.tensor(self.rates, dtype=self.model.dtype, device=self.model.device)[:, None, None] / n
        for leaf, gradient, inputs in factors:
            if not bool(gradient.isfinite().all()):
                bad = next(r for r in range(len(gradient)) if not bool(gradient[r].isfinite().all()))
                raise clocks[bad].error("gradient of", leaf)
            delta, scaled = self.deltas[leaf.name], gradient * -rates
            if delta.ndim == 2:
                delta.add_(scaled.sum(1))
            elif len(delta) == 1:
                delta[0].addmm_(scaled[0].T, inputs[0])
            else:
                delta.baddbmm_(scaled.mT, inputs)

    @contextlib.contextmanager
    def _tapped(self) -> Iterator[None]:
        handles = [module.register_forward_hook(self._project) for module in self._taps]
        try:
            yield
        finally:
            self._seen = []
            for handle in handles:
                handle.remove()

    def _project(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Add x·ΔWᵀ to what a projection gives out, and keep both ends of it."""
        if self._blocks is None or self._blocks.repeating:
            return None  # its keys and values are not used
        inputs = args[0].expand(len(self.rates), -1, -1)
        if self.losses[0]:  # else ΔW is 0
            for leaf, outputs in self._taps[module]:
                delta = self.deltas[leaf.name]
                change = inputs @ delta.mT if delta.ndim == 3 else delta[:, None]
                output[..., outputs] += change
        if torch.is_grad_enabled():
            if not output.requires_grad:
                output.requires_grad_(True)
            self._seen.append((module, inputs.detach(), output))
        return output
