"""Chunks of recorded states, put in the order of the queries and in the shapes that `Activations` promises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from iclmech.models import ICLModel

from ._positions import Places
from ._prompt_rows import Batch
from ._run_rows import Chunk

ATTENTION = {
    "attn_scores": "attn_scores",
    "attn_pattern": "attn_pattern",
    "context_scores": "attn_scores",
    "context_pattern": "attn_pattern",
}
"""For each attention array, the site that it is cut from."""
_OWN = ("attn_scores", "attn_pattern")
_AXES = {"q": ("head", "d_head"), "z": ("head", "d_head"), "k": ("kv_head", "d_head"), "v": ("kv_head", "d_head")}


def on_cpu(value: Tensor) -> Tensor:
    """Detached, on the CPU, float32 unless it is float64."""
    value = value.detach()
    return value.to("cpu", torch.float64 if value.dtype == torch.float64 else torch.float32)


def dims_of(name: str, axis: bool = False) -> tuple[str, ...]:
    """Axes of one array of a capture; `axis`: with one more for the position, behind "layer" (behind "head" in attention)."""
    position = ("position",) if axis else ()
    if name == "logits":
        return ("query", "d_vocab")
    if name in ATTENTION:
        return ("query", "layer", "head", *position, "key" if name in _OWN else "context")
    return ("query", "layer", *position, *_AXES.get(name, ("d_model",)))


def recorded_sites(names: Sequence[str]) -> tuple[str, ...]:
    """The sites that arrays are made of."""
    return tuple(dict.fromkeys(ATTENTION.get(name, name) for name in names if name != "logits"))


def with_positions(name: str, value: Tensor, places: Places, count: int) -> Tensor:
    """States of one row [at, layer, ...] at `count` places, the rest padding: their mean, or with the axis where `dims_of`
    has it and NaN in place of padding."""
    if places.mean:
        return value[:count].mean(0)
    if not places.axis:
        return value[0]
    value = value.clone()
    value[count:] = float("nan")
    return value.permute(1, 2, 0, 3) if name in ATTENTION else value.transpose(0, 1)


class StateCollector:
    """Takes chunks in any order and fills arrays in the order of the queries.

    `keys`, `prefix`: widths of the axes of own keys and of the prefix's. `most`: the longest axis of positions.
    """

    def __init__(
        self, model: ICLModel, names: Sequence[str], layers: Sequence[int], places: Places, sizes: dict[str, int]
    ):
        self.model, self.names, self.layers, self.places, self.sizes = model, tuple(names), tuple(layers), places, sizes
        self.data: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, chunk: Chunk, batch: Batch) -> None:
        """Take over the rows of a chunk, if they were run for their states."""
        if batch.answers:
            return
        queries = [batch.queries[n] for n in chunk.index]
        for name in self.names:
            if name == "logits":
                final = chunk.values["resid_post"][:, -1, chunk.layers.index(self.model.shape.n_layers - 1)]
                values = on_cpu(self.model.readout(final))
            else:
                values = on_cpu(chunk.values[ATTENTION.get(name, name)][:, :, : len(self.layers)])
            for row, (n, j) in enumerate(zip(chunk.index, queries, strict=True)):
                value = values[row]
                if name != "logits":
                    value = value[: max(1, value.shape[0] - 1)]  # the last one is the prediction position
                    value = with_positions(name, value, self.places, batch.places[n])
                    value = self._cut(name, value, chunk.prefix, chunk.lengths[row])
                self._put(name, j, value)

    def _put(self, name: str, j: int, value: Tensor) -> None:
        """Into the array of all queries, made when the first of them comes; shorter axes are padded with NaN on the right."""
        if name not in self.data:
            wide = {**dict(zip(dims_of(name, self.places.axis)[1:], value.shape, strict=True)), **self.sizes}
            shape = [wide[axis] for axis in dims_of(name, self.places.axis)]
            self.data[name] = torch.full(shape, float("nan"), dtype=value.dtype)
        self.data[name][(j, *(slice(n) for n in value.shape))] = value

    def _cut(self, name: str, value: Tensor, prefix: int, length: int) -> Tensor:
        if name not in ATTENTION:
            return value
        if name not in _OWN:
            return value[..., :prefix]
        own = value[..., prefix : prefix + length]
        return torch.nn.functional.pad(own, (self.sizes["key"] - length, 0), value=float("nan"))
