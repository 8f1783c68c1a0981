"""Edits of attention that act on every backend, and the check that they do.

Edits of scores and of patterns are collected over all interventions of a pass and put into one chain per layer:
scores, then softmax, then pattern. Where the score hook holds true scores and editing it moves the model, scores are
edited there. Elsewhere they are computed from q and k, and the edited pattern is written through the pattern hook or,
where that is thrown away too, as z = pattern · v.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor

from iclmech._base import rng
from iclmech.models import SCORE_TAPS, HookFn, ICLModel, scores_from_taps
from iclmech.models._verified import close, verdict

from ._errors import InterventionError
from ._pass_layout import Layout, Spec

Way = Literal["scores", "pattern", "z"]
Edit = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LayerEdit:
    """One edit of the attention of a layer: a function of scores (-inf where forbidden) or of patterns
    [row, head, query, key]; the queries are the tokens of the pass."""

    layer: int
    kind: Literal["scores", "pattern"]
    edit: Edit


class AttentionEdit:
    """An intervention on attention. Subclasses say what they do to a pass in `edits`."""

    def edits(self, model: ICLModel, layout: Layout) -> list[LayerEdit]:
        """What is done to scores and patterns in this pass."""
        raise NotImplementedError

    def splits(self, model: ICLModel) -> bool:
        """Whether the prefix may be encoded once and apart from the rows."""
        return attention_way(model) == "scores"

    def __call__(self, model: ICLModel, layout: Layout) -> list[Spec]:
        return chain_specs(model, self.edits(model, layout), attention_way(model))


def chain_specs(model: ICLModel, edits: Sequence[LayerEdit], way: Way) -> list[Spec]:
    """Hooks that make the edits, layer by layer: those of scores first, then those of patterns, each in order."""
    by_layer: dict[int, tuple[list[Edit], list[Edit]]] = defaultdict(lambda: ([], []))
    for e in edits:
        by_layer[e.layer][e.kind == "pattern"].append(e.edit)
    specs: list[Spec] = []
    for layer, (of_scores, of_pattern) in by_layer.items():
        if way == "scores" and not of_pattern:
            specs.append(("attn_scores", layer, _score_hook(of_scores)))
        elif way == "scores" and model.capabilities.edits == "pattern":
            specs += [("attn_scores", layer, _score_hook(of_scores))] if of_scores else []
            specs.append(("attn_pattern", layer, _composed(of_pattern)))
        else:
            specs += _pattern_specs(
                model, layer, of_scores, of_pattern, "z" if way == "z" else model.capabilities.edits
            )
    return specs


def _composed(edits: Sequence[Edit]) -> HookFn:
    def hook(tensor: Tensor) -> Tensor:
        for edit in edits:
            tensor = edit(tensor)
        return tensor

    return hook


def _score_hook(edits: Sequence[Edit]) -> HookFn:
    """Forbidden scores are the smallest finite number on some backends; edits see -inf, and so does the softmax."""
    edit = _composed(edits)

    def hook(scores: Tensor) -> Tensor:
        return edit(scores.masked_fill(scores <= torch.finfo(scores.dtype).min / 2, float("-inf")))  # type: ignore[return-value]  # an edit returns a tensor

    return hook


def _pattern_specs(
    model: ICLModel, layer: int, of_scores: Sequence[Edit], of_pattern: Sequence[Edit], write: str
) -> list[Spec]:
    """Scores from their taps, softmax, pattern; written to the pattern hook, or into z once q, k and v were seen."""
    seen: dict[str, Tensor] = {}

    def new_pattern(like: Tensor) -> Tensor:
        scores = scores_from_taps(model.backend, model.capabilities.scores, layer, seen)
        scores = scores.masked_fill(torch.isnan(scores), float("-inf"))
        for edit in of_scores:
            scores = edit(scores)
        return torch.softmax(scores.float(), dim=-1).to(like.dtype)

    def write_pattern(pattern: Tensor) -> Tensor:
        pattern = new_pattern(pattern) if of_scores else pattern
        for edit in of_pattern:
            pattern = edit(pattern)
        seen.clear()
        return pattern

    def write_z(z: Tensor) -> Tensor:
        pattern = new_pattern(z)  # some models show their pattern only after z
        for edit in of_pattern:
            pattern = edit(pattern)
        new = mix(pattern, seen["v"]).to(z.dtype).reshape(z.shape)
        seen.clear()
        return new

    taps: list[Spec] = [
        (name, layer, partial(seen.__setitem__, name)) for name in SCORE_TAPS[model.capabilities.scores.source]
    ]
    if write == "z":
        return [*taps, ("v", layer, partial(seen.__setitem__, "v")), ("z", layer, write_z)]
    return [*(taps if of_scores else []), ("attn_pattern", layer, write_pattern)]


def mix(
    pattern: Float[Tensor, "row head query key"], v: Float[Tensor, "row key kv_head d_head"]
) -> Float[Tensor, "row query head d_head"]:
    """pattern · v, head h reading value head h // (n_heads / n_kv_heads)."""
    v = repeat(v, "row key kv d -> row key (kv group) d", group=pattern.shape[1] // v.shape[2])
    return torch.einsum("rhqk,rkhd->rqhd", pattern, v)


def attention_way(model: ICLModel) -> Way:
    """How attention is edited on this model: tried once on a few tokens, against z = edited pattern · v.

    Raises `InterventionError` if the edit moves nothing at all.
    """
    inert = verdict(model, "attention edits", lambda: _probe(model, None))
    if inert:
        raise InterventionError(f"{inert} on {model.name}: its attention cannot be edited.")
    ways: tuple[tuple[Way, bool], ...] = (
        ("scores", model.capabilities.scores.source == "hook"),
        ("pattern", model.capabilities.edits == "pattern"),
    )
    for way, possible in ways:
        if possible and not verdict(model, f"attention edits through {way}", partial(_probe, model, way)):
            return way
    return "z"


@torch.no_grad()
def _probe(model: ICLModel, way: Way | None) -> str:
    """What differs between logits under a cut through `way` and through z; for None, whether that moves anything."""
    shape = model.shape
    tokens = torch.randint(0, shape.d_vocab, (2, min(7, shape.n_ctx)), generator=rng(0, "attention edits"))
    tokens = tokens.to(model.device)

    def cut(scores: Tensor) -> Tensor:
        keep = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        keep[2:, 0] = False
        keep[5:, 3] = False
        return scores.masked_fill(~keep, float("-inf"))

    edits = [LayerEdit(layer, "scores", cut) for layer in range(shape.n_layers)]
    with model.reading(), model.hooks(chain_specs(model, edits, "z")):
        wanted = model.forward(tokens)
    if way is None:
        with model.reading():
            moved = not torch.equal(model.forward(tokens), wanted)
        return "" if moved else "cutting attention edges moves nothing"
    with model.reading(), model.hooks(chain_specs(model, edits, way)):
        return "" if close(model.forward(tokens), wanted) else "the logits differ from those under z = pattern · v"
