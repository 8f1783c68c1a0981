"""Random weight changes scaled layer by layer, from the bottom, until each moves its layer's attn_out as far as the real one.

On a plain twin the search is local to the layer: one forward pass of all draws side by side, in which each layer's attention
is run again until its scales are found, before the layers above see it. Other models run up to that layer for every try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iclmech._base import Guard, rng
from iclmech.analysis import metrics
from iclmech.captures import RowPrompts, capture
from iclmech.models import ICLModel, Twin, attention, twin_of, user_hooks
from iclmech.tasks import PromptSet
from iclmech.updates import WeightUpdate

from ._displacement_search import smallest_scales

Noise = list[dict[str, Tensor]]
"""For every draw a random ΔW, each matrix with the norm of the real one's."""


@dataclass(frozen=True)
class Matched:
    """Scales [draw, layer] that were found, and where they reach the aim; `aim` [layer], the real displacement."""

    scales: np.ndarray
    reached: np.ndarray
    aim: np.ndarray


def noise_like(update: WeightUpdate, seed: int, n: int) -> Noise:
    """Gaussian noise with the norm of the update, matrix by matrix, `n` times."""
    drawn: Noise = []
    for i in range(n):
        one = {}
        for name, delta in update.deltas.items():
            noise = torch.randn(delta.shape, generator=rng(seed, f"matched update {i} of {name}"), dtype=torch.float64)
            one[name] = (noise * (delta.double().norm() / noise.norm())).to(delta.dtype)
        drawn.append(one)
    return drawn


def scaled(update: WeightUpdate, noise: dict[str, Tensor], factors: np.ndarray) -> WeightUpdate:
    """The noise with each layer's factor, as an update; what belongs to no layer keeps its norm."""

    def factor(name: str) -> float:
        layer = update.layout[name].layer
        return 1.0 if layer is None else float(factors[layer])

    deltas = {name: delta * factor(name) for name, delta in noise.items()}
    meta = {
        "method": "matched",
        "from": update.hash,
        "n_layers": update.n_layers,
        "requires": list(update.requires),
        "scales": [float(f) for f in factors],
    }
    return replace(update, deltas=deltas, meta=meta)


def matched_scales(model: ICLModel, prompts: PromptSet, position: Any, update: WeightUpdate, noise: Noise) -> Matched:
    """The smallest scales of every draw and layer, on the queries of `prompts` zero-shot."""
    with model.reading():
        twin = _twin_for(model, update, prompts)
        if twin is not None:
            return _OnePass(model, twin, prompts, position, update, noise).run()
        return scales_by_capture(model, prompts, position, update, noise)


def _twin_for(model: ICLModel, update: WeightUpdate, prompts: PromptSet) -> Twin | None:
    """The plain twin, where all that changes are key and value projections that it can be told of."""
    trained = {p.name for p in model.parameters("attn_kv")}
    longest = max(len(q.tokens) for q in prompts.queries) + 2
    windows = model.backend.local_windows()
    if set(update.deltas) - trained or any(w is not None and w < longest for w in windows) or user_hooks(model):
        return None
    if model.applied or model.dtype not in (torch.float32, torch.float64):
        return None
    twin = twin_of(model)
    return twin if isinstance(twin, Twin) else None


def scales_by_capture(
    model: ICLModel, prompts: PromptSet | RowPrompts, position: Any, update: WeightUpdate, noise: Noise
) -> Matched:
    """The same for any prompts that `capture` takes: every try is a run up to the layer in question."""
    n_layers = model.shape.n_layers

    def states(weights: WeightUpdate | None, layers: list[int] | None = None) -> Any:
        if weights is None:
            return capture(model, prompts, "zs", ("attn_out",), position, layers=layers)
        with weights.applied(model):
            return capture(model, prompts, "zs", ("attn_out",), position, layers=layers)

    zero = states(None)["attn_out"]
    aim = metrics.displacement(zero, states(update)["attn_out"]).double().nanmean(dim=0).numpy()
    scales, reached = np.zeros((len(noise), n_layers)), np.zeros((len(noise), n_layers), dtype=bool)
    for layer in range(n_layers):

        def moved(tried: np.ndarray, layer: int = layer) -> np.ndarray:
            found = []
            for draw, scale in enumerate(tried):
                factors = np.where(np.arange(n_layers) == layer, scale, scales[draw])
                at = states(scaled(update, noise[draw], factors), [layer])["attn_out"]
                found.append(float(metrics.displacement(zero[:, [layer]], at).double().nanmean()))
            return np.array(found)

        scales[:, layer], reached[:, layer] = smallest_scales(float(aim[layer]), moved, len(noise))
    return Matched(scales, reached, aim)


class _OnePass:
    """One pass of every query zero-shot, under the real update and under every draw: groups of rows, in this order."""

    def __init__(
        self, model: ICLModel, twin: Twin, prompts: PromptSet, position: Any, update: WeightUpdate, noise: Noise
    ):
        self.twin, self.n_draws = twin, len(noise)
        rows, at = _rows(prompts, position)
        width = max(map(len, rows))
        padded = [row + row[:1] * (width - len(row)) for row in rows]  # causal: what follows is not read
        self.n_queries, self.at = len(rows), torch.tensor(at * (2 + len(noise)), device=model.device)
        self.tokens = torch.tensor(padded * (2 + len(noise)), device=model.device)
        n_layers = model.shape.n_layers
        self.scales, self.reached = np.zeros((len(noise), n_layers)), np.zeros((len(noise), n_layers), dtype=bool)
        self.aim = np.full(n_layers, np.nan)
        self._taps: list[tuple[torch.nn.Module, Any, int, Tensor]] = []
        for parameter in model.parameters("attn_kv"):
            if parameter.name in update.deltas and parameter.layer is not None:
                module, outputs = twin.place(parameter.tensor)
                changes = [update.deltas[parameter.name], *(one[parameter.name] for one in noise)]
                self._taps.append((module, outputs, parameter.layer, torch.stack(changes).to(model.device)))

    @torch.no_grad()
    def run(self) -> Matched:
        """The pass; afterwards all scales are known."""
        self.twin.refresh()
        with self.twin.using(
            lambda layer, query, key, value, scale: attention(query, key, value, scale, None), self._listen
        ):
            self.twin.base(input_ids=self.tokens, use_cache=False)
        return Matched(self.scales, self.reached, self.aim)

    def _listen(self, guard: Guard) -> None:
        for module, outputs, layer, changes in self._taps:
            guard.hook(module, self._project(outputs, layer, changes))
        for layer, module in enumerate(self.twin.attention):
            guard.hook(module, self._search(layer), with_kwargs=True)

    def _project(self, outputs: Any, layer: int, changes: Tensor) -> Callable[..., Tensor]:
        """Add to a projection what each group's change makes of its inputs; the zero-shot group gets none."""

        def hook(module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
            inputs = args[0].unflatten(0, (-1, self.n_queries))[1:].flatten(1, 2)  # [group, row·token, d_model]
            factors = torch.tensor([1.0, *self.scales[:, layer]], dtype=changes.dtype, device=changes.device)
            if changes.ndim == 3:
                more = (inputs @ changes.mT) * factors[:, None, None]
            else:
                more = (changes * factors[:, None])[:, None].expand(-1, inputs.shape[1], -1)
            output = output.clone()
            output[self.n_queries :, ..., outputs] += more.reshape(-1, *output.shape[1:-1], more.shape[-1])
            return output

        return hook

    def _search(self, layer: int) -> Callable[..., Any]:
        """Once the attention of a layer has run, run it again until the scales are right, and hand that on."""

        def hook(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
            kept: list[Any] = [output]

            def moved(scales: np.ndarray) -> np.ndarray:
                self.scales[:, layer] = scales
                kept[0] = module.forward(*args, **kwargs)
                return self._displacements(kept[0])[1:]

            self.aim[layer] = self._displacements(output)[0]
            found, self.reached[:, layer] = smallest_scales(float(self.aim[layer]), moved, self.n_draws)
            if not np.array_equal(found, self.scales[:, layer]):
                moved(found)
            return kept[0]

        return hook

    def _displacements(self, output: Any) -> np.ndarray:
        """Mean over queries, of the real update and of every draw."""
        whole = output[0] if isinstance(output, tuple) else output
        states = whole[torch.arange(len(whole), device=whole.device), self.at].unflatten(0, (-1, self.n_queries))
        zero = states[:1].expand(len(states) - 1, -1, -1)
        found = metrics.displacement(zero.flatten(0, 1)[:, None], states[1:].flatten(0, 1)[:, None])
        return found.double().view(len(states) - 1, self.n_queries).nanmean(dim=1).cpu().numpy()


def _rows(prompts: PromptSet, position: Any) -> tuple[list[list[int]], list[int]]:
    """Tokens of every query behind BOS, and where its state is read."""
    rows, at = [], []
    for query in prompts.queries:
        context = prompts.contexts[query.context]
        row = [prompts.bos, *query.tokens, *(context.label_tokens[0][:1] if position == "label" else [])]
        rows.append(row)
        own: Any = position(query, context) if callable(position) else len(row) - 2
        at.append(1 + int(own))
    return rows, at
