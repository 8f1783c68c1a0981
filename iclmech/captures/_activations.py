"""What a capture brings back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import CaptureError, demand, html_table, read_safetensors, understanding, write_safetensors

_KIND, _SCHEMA = "activations", 1
_LABELS, _RANKS = "label_scores", "target_ranks"


@dataclass(frozen=True, repr=False)
class Activations:
    """States and predictions of every query in one setting, on the CPU in float32 (float64 is kept).

    Attributes
    ----------
    data: by name of the site, with `dims` naming the axes of each:
        `attn_out`, `resid_post`, ... [query, layer, d_model] · `q`, `k`, `v`, `z` [query, layer, head, d_head] (k and v: key heads)
        · `attn_scores`, `attn_pattern` [query, layer, head, key]: the query's own tokens, right-aligned, NaN on the left
        and where attention is masked · `context_scores`, `context_pattern` [query, layer, head, context]: what stands before
        the query, column 0 is BOS, NaN on the right of shorter contexts · `logits` [query, d_vocab].
        With `position` "labels", "forerunners", a role or several there is a "position" axis behind "layer" (behind "head"
        in attention), NaN on the right of prompts with fewer.
    label_scores: [query, label], mean log-probability (nats) per token of each label word at the prediction position.
    target_scores: [query], the same for the query's right answer; NaN where it is unknown.
    setting: "zs", "icl", or "ft:<hash of the update>".
    layers: index of each entry of the layer axis.
    meta: model, hash of the prompts, position and the like (JSON-serialisable).
    target_ranks: [query], how many tokens of the whole vocabulary are likelier than the first of the right answer: 0 where
        it would be said; -1 where the answer is unknown (in files of older versions, everywhere).
    """

    data: dict[str, Tensor]
    dims: dict[str, tuple[str, ...]]
    label_scores: Float[Tensor, "query label"]
    target_scores: Float[Tensor, "query"]
    setting: str
    layers: tuple[int, ...]
    meta: dict[str, Any] = field(default_factory=dict)
    target_ranks: Int[Tensor, "query"] | None = None

    def __post_init__(self) -> None:
        if self.target_ranks is None:
            object.__setattr__(self, "target_ranks", torch.full((len(self.label_scores),), -1))

    def __getitem__(self, site: str) -> Tensor:
        """The tensor of a site. Raises `CaptureError` naming the captured ones."""
        if site not in self.data:
            raise CaptureError(f"{site!r} was not captured; got {', '.join(self.data) or 'nothing'}. Add it to sites=.")
        return self.data[site]

    def __contains__(self, site: object) -> bool:
        return site in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.label_scores)

    @property
    def label_probs(self) -> Float[Tensor, "query label"]:
        """Softmax of the label scores over the labels."""
        return torch.softmax(self.label_scores, dim=-1)

    @property
    def predictions(self) -> Tensor:
        """Index of the likeliest label of each query, [query]. Raises `CaptureError` where there are no label words."""
        if not self.label_scores.shape[1]:
            raise CaptureError(
                "there are no label words to choose from: answers are free text. Use target_ranks (0: right)."
            )
        return self.label_scores.argmax(dim=-1)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file; everything comes back with `Activations.load`."""
        meta = {"setting": self.setting, "layers": self.layers, "dims": self.dims, "meta": self.meta}
        tensors = {
            **self.data,
            _LABELS: self.label_scores,
            "target_scores": self.target_scores,
            _RANKS: self.target_ranks,
        }
        write_safetensors(path, tensors, _KIND, _SCHEMA, meta)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Activations:
        """Read what `save` wrote. Raises `FileError` for another file or a newer schema."""
        data, _, meta = read_safetensors(path, _KIND, _SCHEMA)
        with understanding(path, "activations"):
            demand(set(meta) == {"setting", "layers", "dims", "meta"}, "its header lacks setting, layers, dims or meta")
            labels, targets, ranks = data.pop(_LABELS), data.pop("target_scores"), data.pop(_RANKS, None)
            dims = {name: tuple(axes) for name, axes in meta["dims"].items()}
            demand(type(meta["setting"]) is str and isinstance(meta["meta"], dict), "its setting is no text")
            demand(all(type(n) is int and n >= 0 for n in meta["layers"]), "its layers are no whole numbers")
            _check_shapes(data, dims, {"query": len(labels), "layer": len(meta["layers"])})
            _check_shapes({_LABELS: labels, "target_scores": targets}, _SCORES, {"query": len(labels)})
            demand(ranks is None or (ranks.shape == targets.shape and ranks.dtype == torch.int64), "its ranks are none")
            return cls(data, dims, labels, targets, meta["setting"], tuple(meta["layers"]), meta["meta"], ranks)

    def _rows(self) -> Mapping[str, str]:
        return {
            site: " × ".join(f"{axis} {n}" for axis, n in zip(self.dims[site], t.shape, strict=True))
            for site, t in self.data.items()
        }

    def __repr__(self) -> str:
        sites = "; ".join(f"{site}: {shape}" for site, shape in self._rows().items())
        return f"Activations({self.setting}, {len(self)} queries, {sites})"

    def _repr_html_(self) -> str:
        size = sum(t.numel() * t.element_size() for t in self.data.values()) / 1e6
        title = f"Activations · {self.setting} · {len(self)} queries · {size:.1f} MB"
        return html_table(("site", "shape"), self._rows().items(), title=title)


_SCORES = {_LABELS: ("query", "label"), "target_scores": ("query",)}


def _check_shapes(data: Mapping[str, Tensor], dims: Mapping[str, tuple[str, ...]], sizes: dict[str, int]) -> None:
    """Raise `ValueError` unless every tensor has the axes that are named, an axis one size, and floating-point numbers in it."""
    demand(set(data) == set(dims), "its dims name other tensors than are there")
    for name, tensor in data.items():
        axes = dims[name]
        demand(len(axes) == tensor.ndim and len(set(axes)) == len(axes), f"{name[:60]} has other axes than are named")
        demand(torch.is_floating_point(tensor), f"{name[:60]} holds no numbers")
        for axis, n in zip(axes, tensor.shape, strict=True):
            demand(isinstance(axis, str) and sizes.setdefault(axis, n) == n, f"an axis of {name[:60]} has two sizes")
