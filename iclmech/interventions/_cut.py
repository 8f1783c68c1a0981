"""Cutting attention edges or weakening them, and the two controls for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._attention_edits import AttentionEdit, LayerEdit
from ._edges import EdgeRows, EdgeSet, PositionEdges, RoleEdges, draws
from ._errors import InterventionError
from ._pass_layout import Layout, check_heads, check_layers

Control = Literal["random", "mass"]


@dataclass
class CutMeter:
    """Adds up what a cut removes: edges, and attention mass, per (destination, layer, head)."""

    edges: float = 0.0
    mass: float = 0.0
    n: int = 0

    def add(self, cut: Bool[Tensor, "edge_row head key"], pattern: Float[Tensor, "edge_row head key"]) -> None:
        """Count the edges of one layer of one pass."""
        self.edges += float(cut.sum())
        self.mass += float((pattern * cut).sum())
        self.n += cut.shape[0] * cut.shape[1]

    @property
    def mean_edges(self) -> float:
        """Edges cut per destination, layer and head; NaN if there was none."""
        return self.edges / self.n if self.n else float("nan")

    @property
    def mean_mass(self) -> float:
        """Attention removed per destination, layer and head (out of 1); NaN if there was none."""
        return self.mass / self.n if self.n else float("nan")


@dataclass(frozen=True)
class CutEdges(AttentionEdit):
    """Multiplies the attention on edges by a factor, 0 for a cut, so that the rest of the row shares what they lose. Made by
    `cut_edges` and `scale_edges`.

    `control`: cut other edges of the same destinations instead, as many ("random") or of the same attention mass
    ("mass", head by head, by the attention of this very pass).
    """

    edges: EdgeSet
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    control: Control | None = None
    seed: int = 0
    meter: CutMeter | None = field(default=None, compare=False)
    factor: float = 0.0

    def edits(self, model: ICLModel, layout: Layout) -> list[LayerEdit]:
        """A score edit for every layer, or none where the pass computes no destination."""
        layers = check_layers(model, self.layers)
        heads = check_heads(model.shape.n_heads, self.heads)
        rows = self.edges.rows(layout)
        if not len(rows):
            return []
        order = draws(rows, layout, self.seed, f"{self.control} edges") if self.control else None
        windows = model.backend.local_windows()
        return [
            LayerEdit(layer, "scores", _Cut(rows, order, windows[layer], heads, self, layout.first)) for layer in layers
        ]


class _Cut:
    """The edit of one layer."""

    def __init__(
        self,
        rows: EdgeRows,
        order: Tensor | None,
        window: int | None,
        heads: list[int] | None,
        cut: CutEdges,
        first: int,
    ):
        self.rows, self.order, self.heads, self.cut, self.first = rows, order, heads, cut, first
        self.keys, self.others = rows.within(window), rows.others(window)

    def __call__(self, scores: Tensor) -> Tensor:
        row, at = self.rows.row.to(scores.device), (self.rows.at - self.first).to(scores.device)
        picked = scores[row, :, at]  # [edge_row, head, key]
        chosen = self._chosen(picked).to(scores.device)
        if self.heads is not None:
            mine = torch.zeros(picked.shape[1], dtype=torch.bool, device=scores.device)
            mine[self.heads] = True
            chosen = chosen & mine[None, :, None]
        if self.cut.meter is not None:
            self.cut.meter.add(chosen, torch.softmax(picked.detach().float(), dim=-1))
        edited = scores.clone()
        shift = math.log(self.cut.factor) if self.cut.factor else float("-inf")
        edited[row, :, at] = torch.where(chosen, picked + shift, picked)
        return edited

    def _chosen(self, picked: Tensor) -> Bool[Tensor, "edge_row head key"]:
        n_heads = picked.shape[1]
        if self.order is None:
            return self.keys[:, None].expand(-1, n_heads, -1)
        if self.cut.control == "random":
            return as_many(self.keys, self.others, self.order)[:, None].expand(-1, n_heads, -1)
        pattern = torch.softmax(picked.detach().float(), dim=-1).cpu()
        return of_same_mass(pattern, self.keys, self.others, self.order)


def as_many(
    keys: Bool[Tensor, "edge_row key"], others: Bool[Tensor, "edge_row key"], order: Float[Tensor, "edge_row key"]
) -> Bool[Tensor, "edge_row key"]:
    """As many of `others` as there are `keys`, in random `order`; from `keys` themselves only where `others` run out."""
    rank = torch.where(others, order, torch.where(keys, 1 + order, torch.inf)).argsort(dim=-1).argsort(dim=-1)
    return rank < keys.sum(dim=-1, keepdim=True)


def of_same_mass(
    pattern: Float[Tensor, "edge_row head key"],
    keys: Bool[Tensor, "edge_row key"],
    others: Bool[Tensor, "edge_row key"],
    order: Float[Tensor, "edge_row key"],
) -> Bool[Tensor, "edge_row head key"]:
    """Of `others`, in random `order`, each that still fits into the attention that the row and head pay to `keys`.

    Falls short where the others carry less than that together; what was removed is for the caller to report.
    """
    wanted = (pattern * keys[:, None]).sum(dim=-1) * (1 + 1e-6)
    taken = torch.zeros_like(wanted)
    chosen = torch.zeros_like(pattern, dtype=torch.bool)
    sequence = torch.where(others, order, torch.inf).argsort(dim=-1)
    rows = torch.arange(len(keys))
    for step in range(int(others.sum(dim=-1).max()) if len(keys) else 0):
        key = sequence[:, step]
        mass = pattern[rows, :, key]
        fits = others[rows, key][:, None] & (taken + mass <= wanted)
        chosen[rows, :, key] = fits
        taken = taken + mass * fits
    return chosen


def cut_edges(
    prompts: PromptSet | None,
    edges: str | Sequence[tuple[int, int]] | EdgeSet,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    control: Control | None = None,
    seed: int = 0,
    across: bool = False,
    meter: CutMeter | None = None,
) -> CutEdges:
    """Cut attention edges: their scores become -inf in the given layers and heads, and the softmax goes on without them.

    Parameters
    ----------
    prompts: the prompt set that will be run; it says which token plays which part. None with edges by position, and in
        `capture`, which knows what it runs.
    edges: "source->destination" in names of token groups (`ROLE_NAMES`), several joined by "+": "x->s", "s->y",
        "y->s_q", "x_q->s_q", "y+sep->s_q"; or pairs (query position, key position), absolute; or an `EdgeSet`.
    layers, heads: all by default.
    control: None cuts the edges; "random" as many other causal edges of the same destinations; "mass" other edges of the
        same destinations that carry the same attention, head by head. A self edge is never cut.
    across: between demonstrations as well, where both ends lie in demonstrations (else within one and the same).
    meter: adds up what is removed.

    Raises `InterventionError` for unknown names, or edges that are not causal.

    Source: disconnection, Cho et al. (arXiv 2410.04468), section 5; the controls are stricter than the paper's, which
    draws random edges anywhere in the matrix.
    """
    if control not in (None, "random", "mass"):
        raise InterventionError(f"got control={control!r}; expected None, 'random' or 'mass'.")
    chosen: EdgeSet
    if isinstance(edges, str):
        source, destination = parse_edges(edges)
        chosen = RoleEdges(prompts, source, destination, across=across)
    else:
        chosen = PositionEdges(edges) if isinstance(edges, Sequence) else edges
    as_tuple = lambda which: (which,) if isinstance(which, int) else None if which is None else tuple(which)  # noqa: E731 - used twice, here only
    return CutEdges(chosen, as_tuple(layers), as_tuple(heads), control, seed, meter)


def scale_edges(
    prompts: PromptSet | None,
    edges: str | Sequence[tuple[int, int]] | EdgeSet,
    factor: float | int,
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    control: Control | None = None,
    seed: int = 0,
    across: bool = False,
    meter: CutMeter | None = None,
) -> CutEdges:
    """Multiply the attention on edges by a factor; the row is normalised again, so that other keys share what they lose.

    log(factor) is added to the scores. 0 is `cut_edges`, 1 changes nothing, more than 1 strengthens. To emphasise a role,
    weaken the others: "x+s+sep->s_q" at .01 for the labels.

    Args:
        prompts, edges, layers, heads, across: as in `cut_edges`; one intervention for each layer where heads differ.
        factor: 0 or more.
        control: "random" scales as many other causal edges of the same destinations, "mass" others of the same attention.
        seed: of the control.
        meter: adds up the edges that are scaled, and the attention on them.

    Returns:
        An intervention for `capture(..., interventions=[...])`.

    Raises:
        InterventionError: a negative factor, unknown names, or edges that are not causal.

    Source: Zhang et al. (arXiv 2311.02262), who scale the other keys of chosen heads by .01.

    >>> weaker = scale_edges(None, "x->s_q", 0.5, layers=2, heads=[1])
    """
    if not 0 <= factor < float("inf"):
        raise InterventionError(f"got factor={factor}; expected 0 (a cut) to 1 (no change), or more to strengthen.")
    more = {"layers": layers, "heads": heads, "control": control, "seed": seed, "across": across, "meter": meter}
    return replace(cut_edges(prompts, edges, **more), factor=float(factor))  # type: ignore[arg-type]  # its own arguments


def parse_edges(edges: str) -> tuple[list[str], list[str]]:
    """("x+sep->s_q") -> (["x", "sep"], ["s_q"]). Raises `InterventionError` for another form."""
    source, arrow, destination = edges.partition("->")
    sides = [[name.strip() for name in side.split("+")] for side in (source, destination)]
    if not arrow or not all(all(side) for side in sides):
        raise InterventionError(f"got the edges {edges!r}; expected 'source->destination', such as 'y->s_q'.")
    return sides[0], sides[1]
