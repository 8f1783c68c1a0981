"""Chunks of recorded states, put in the order of the queries and in the shapes that `Activations` promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._activations import Activations
from ._label_scores import LabelScores
from ._prompt_rows import Group
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


def pad_last(values: Sequence[Tensor], padded: bool) -> Tensor:
    """Stack along a new first axis; with `padded`, NaN fills shorter last axes on the right."""
    if padded:
        longest = max(value.shape[-1] for value in values)
        values = [torch.nn.functional.pad(v, (0, longest - v.shape[-1]), value=float("nan")) for v in values]
    return torch.stack(list(values))


def query_dims(name: str) -> tuple[str, ...]:
    """Axes of one array of a capture at the queries."""
    if name == "logits":
        return ("query", "d_vocab")
    if name in ATTENTION:
        return ("query", "layer", "head", "key" if name in _OWN else "context")
    return ("query", "layer", *_AXES.get(name, ("d_model",)))


def demonstration_dims(name: str) -> tuple[str, ...]:
    """Axes of one array of a capture at the demonstrations."""
    if name in ATTENTION:
        return ("query", "layer", "head", "position", "context")
    return ("query", "layer", "position", *_AXES.get(name, ("d_model",)))


class Collector:
    """Takes chunks in any order and gives `Activations` in the order of the queries."""

    def __init__(
        self, model: ICLModel, prompts: PromptSet, names: Sequence[str], layers: Sequence[int], keys: int, prefix: int
    ):
        self.model, self.prompts, self.names, self.layers = model, prompts, tuple(names), tuple(layers)
        last = model.shape.n_layers - 1
        self.run_layers = tuple(dict.fromkeys((*self.layers, last)))
        sites = (ATTENTION.get(name, name) for name in names if name != "logits")
        self.recorded = tuple(dict.fromkeys((*sites, "resid_post")))
        self.keys, self.prefix = keys, prefix  # widths of the axes of own keys and of the prefix's
        self.labels = LabelScores(model, prompts)
        self._last = self.run_layers.index(last)
        self._data: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, chunk: Chunk, group: Group) -> None:
        """Take over the rows of a chunk: states at the first recorded position, predictions at the last one."""
        queries = [group.queries[n] for n in chunk.index]
        final = chunk.values["resid_post"][:, -1, self._last]
        self.labels.first_tokens(queries, final)
        for name in self.names:
            if name == "logits":
                values = on_cpu(self.model.readout(final))
            else:
                values = on_cpu(chunk.values[ATTENTION.get(name, name)][:, 0, : len(self.layers)])
            for row, (j, value) in enumerate(zip(queries, values, strict=True)):
                own = self._cut(name, value, chunk.prefix, chunk.lengths[row])
                self._room(name, own)[j, ..., : own.shape[-1]] = own

    def _room(self, name: str, first: Tensor) -> Tensor:
        """The array of all queries, made when the first of them comes."""
        if name not in self._data:
            width = self.prefix if name in ATTENTION and name not in _OWN else first.shape[-1]
            shape = (len(self.prompts.queries), *first.shape[:-1], width)
            self._data[name] = torch.full(shape, float("nan"), dtype=first.dtype)
        return self._data[name]

    def _cut(self, name: str, value: Tensor, prefix: int, length: int) -> Tensor:
        if name not in ATTENTION:
            return value
        if name not in _OWN:
            return value[..., :prefix]
        own = value[..., prefix : prefix + length]
        return torch.nn.functional.pad(own, (self.keys - length, 0), value=float("nan"))

    def finish(self, setting: str, meta: dict[str, Any]) -> Activations:
        """Everything that was taken over."""
        scores, targets = self.labels.finish()
        dims = {name: query_dims(name) for name in self._data}
        return Activations(self._data, dims, scores, targets, setting, self.layers, meta)
