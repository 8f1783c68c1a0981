"""Clamps: parts of the induction circuit put in place of what a net computes, in training and when it is measured.

A clamp turns the sequences of a pass into the library's interventions; gradients flow around it. `copy` reads the answer
from scores instead of from the readout. Any intervention that needs no sequences (`zero`, `scale`, `cut_edges`, …) can
stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from iclmech._base import Guard, rng
from iclmech.experiments import ExperimentError
from iclmech.interventions import Layout, Spec, replace_pattern, zero
from iclmech.models import ICLModel

from ._labelled_sequences import Sequences, label_positions

if TYPE_CHECKING:
    from ._world_net import WorldNet

_NOTHING = -1e9  # the logit of a label that is not in the context


@dataclass
class Situation:
    """What a clamp is told: the sequences of the models that it acts on, in order, and their embeddings.

    Attributes:
        rows: what goes into the net, [model, row, position, d].
        scores: [model · row, head, query, key] by layer, as other clamps found them.
    """

    net: WorldNet
    models: tuple[int, ...]
    batch: Sequences
    rows: Float[Tensor, "model row position d"]
    scores: dict[int, Tensor] = field(default_factory=dict)

    @property
    def labels_at(self) -> list[int]:
        """Positions of the labels."""
        return label_positions(self.net.pairs, self.net.shape.bos)


@dataclass(frozen=True)
class Clamp:
    """A part of the circuit that is given. Made by `previous_token`, `match`, `copy`, `perfect_layer`, `ablate` and `random_pattern`."""

    kind: str
    layer: int
    head: int | None = None

    @property
    def spelled(self) -> str:
        """The clamp as text: "match:1.0"."""
        return f"{self.kind}:{self.layer}" + ("" if self.head is None else f".{self.head}")

    def interventions(self, now: Situation) -> Sequence[Any]:
        """What is done to the pass."""
        return _MAKERS[self.kind](self, now)


def previous_token(layer: int = 0, head: int = 0) -> Clamp:
    """Attention of a head from every position to the one before it, and of the first to itself.

    >>> previous_token(0, head=1).spelled
    'previous_token:0.1'
    """
    return Clamp("previous_token", layer, head)


def match(layer: int = 1, head: int = 0) -> Clamp:
    """Attention of a head from the query to the labels of the pairs that have the right one, from other positions to themselves.

    Source: the induction pattern by label equality of Singh et al. (arXiv 2404.07129).

    >>> match(1).spelled
    'match:1.0'
    """
    return Clamp("match", layer, head)


def copy(layer: int = 1, head: int = 0) -> Clamp:
    """The answer read from a head's scores: a label's logit is the log of the summed exponentials of the query's scores at it.

    It goes around the values and everything above, and does not see a replaced pattern of the same head.

    >>> copy(1).spelled
    'copy:1.0'
    """
    return Clamp("copy", layer, head)


def perfect_layer(layer: int = 1) -> Clamp:
    """All before `layer` done as by a perfect previous-token head.

    The pattern of the layer is that of states in which every label's position holds the item before it, the query's its
    own, and all others zero; its values come from the plain embeddings.

    >>> perfect_layer().spelled
    'perfect_layer:1'
    """
    return Clamp("perfect_layer", layer)


def ablate(layer: int, head: int) -> Clamp:
    """A head's output set to zero.

    >>> ablate(0, 0).spelled
    'ablate:0.0'
    """
    return Clamp("ablate", layer, head)


def random_pattern(layer: int, head: int = 0) -> Clamp:
    """Attention of a head drawn at random, another for each row of a pass, the same in every pass: no part of the circuit.

    >>> random_pattern(1).spelled
    'random_pattern:1.0'
    """
    return Clamp("random_pattern", layer, head)


def clamp_of(text: str) -> Clamp:
    """A clamp from its text; without numbers the usual layer and head.

    Raises:
        ExperimentError: no such clamp.

    >>> clamp_of("match") == match() == clamp_of("match:1.0")
    True
    """
    kind, _, place = text.strip().partition(":")
    known: dict[str, Callable[..., Clamp]] = {
        "previous_token": previous_token, "match": match, "copy": copy, "perfect_layer": perfect_layer,
        "ablate": ablate, "random_pattern": random_pattern,
    }  # fmt: skip
    numbers = place.split(".") if place else []
    if kind not in known or not all(n.isdigit() for n in numbers) or len(numbers) > 1 + (kind != "perfect_layer"):
        raise ExperimentError(f"got the clamp {text!r}; expected one of {', '.join(known)}, with :layer.head.")
    return known[kind](*map(int, numbers or ("00" if kind in ("ablate", "random_pattern") else ())))


# -- what they do -------------------------------------------------------------------------------------------------


def _previous(clamp: Clamp, now: Situation) -> list[Any]:
    length = now.rows.shape[2]
    pattern = torch.eye(length)[[0, *range(length - 1)]]
    return [replace_pattern(pattern, layers=clamp.layer, heads=clamp.head)]


def _match(clamp: Clamp, now: Situation) -> list[Any]:
    length, right = now.rows.shape[2], now.batch.right.flatten(0, 1).float()
    pattern = torch.eye(length).expand(len(right), length, length).clone()
    pattern[:, -1] = 0.0
    pattern[:, -1, now.labels_at] = right / right.sum(1, keepdim=True).clamp(min=1)
    return [replace_pattern(pattern[:, None], layers=clamp.layer, heads=clamp.head)]


def _copy(clamp: Clamp, now: Situation) -> list[Any]:
    if clamp.layer in now.scores:
        return []

    def tap(model: ICLModel, layout: Layout) -> list[Spec]:
        return [("attn_scores", clamp.layer, lambda scores: now.scores.__setitem__(clamp.layer, scores))]

    return [tap]


def _perfect(clamp: Clamp, now: Situation) -> list[Any]:
    labels, plain = now.labels_at, now.rows.flatten(0, 1)
    shifted = torch.zeros_like(plain)
    shifted[:, labels] = plain[:, [at - 1 for at in labels]]
    shifted[:, -1] = plain[:, -1]
    now.scores[clamp.layer] = scores_of_states(now, shifted, clamp.layer)
    pattern = now.scores[clamp.layer].softmax(-1)

    def put(model: ICLModel, layout: Layout) -> list[Spec]:
        return [("resid_pre", clamp.layer, lambda x: plain)]

    return [put, replace_pattern(pattern, layers=clamp.layer)]


def _random(clamp: Clamp, now: Situation) -> list[Any]:
    n, length = now.rows.shape[0] * now.rows.shape[1], now.rows.shape[2]
    drawn = torch.rand(now.rows.shape[1], length, length, generator=rng(0, "dynamics/random pattern")).tril()
    pattern = (drawn / drawn.sum(-1, keepdim=True)).repeat(n // len(drawn), 1, 1)
    return [replace_pattern(pattern[:, None], layers=clamp.layer, heads=clamp.head)]


def _ablate(clamp: Clamp, now: Situation) -> list[Any]:
    return [zero("z", layers=clamp.layer, heads=[clamp.head or 0])]


_MAKERS: dict[str, Callable[[Clamp, Situation], list[Any]]] = {
    "previous_token": _previous, "match": _match, "copy": _copy, "perfect_layer": _perfect, "ablate": _ablate,
    "random_pattern": _random,
}  # fmt: skip


def scores_of_states(now: Situation, states: Float[Tensor, "row position d"], layer: int) -> Tensor:
    """Scores [row, head, query, key] of a layer, if these states went into it; with their gradients."""
    net, index = now.net.net, torch.tensor(now.models)
    block: Any = net.model.layers[layer]
    found: list[Tensor] = []
    length = states.shape[1]
    with Guard() as guard:
        guard.hook(block.self_attn.hooks["attn_scores"], lambda module, args, scores: found.append(scores))
        block.self_attn(block.input_layernorm(states, index), net.cos[:, :length], net.sin[:, :length], index)
    return found[0]


def answer_from_scores(clamp: Clamp, now: Situation) -> Float[Tensor, "model row label"]:
    """Logits of the labels under `copy`."""
    scores = now.scores[clamp.layer][:, clamp.head or 0, -1][:, now.labels_at].unflatten(0, now.batch.target.shape)
    stands: Bool[Tensor, "model row pair label"] = now.batch.labels[..., None] == torch.arange(now.net.n_labels)
    logits = scores[..., None].masked_fill(~stands, float("-inf")).logsumexp(-2)
    return torch.where(stands.any(-2), logits, torch.full_like(logits, _NOTHING))


# -- which of them go together ------------------------------------------------------------------------------------


def checked_clamps(name: str, clamps: Sequence[Any], layers: int, heads: int) -> tuple[Any, ...]:
    """Clamps of one condition, texts read, places within the net.

    Raises:
        ExperimentError: a place that the net does not have, or clamps of which one ignores the other.
    """
    found = [clamp_of(c) if isinstance(c, str) else c for c in clamps]
    named = [_placed(c, layers, heads) for c in found if isinstance(c, Clamp)]
    for number, one in enumerate(named):
        for other in named[number + 1 :]:
            why = _ignores(one, other) or _ignores(other, one)
            if why:
                raise ExperimentError(
                    f"condition {name!r}: got {one.spelled} with {other.spelled}, but {why}. Give them apart."
                )
    return (*named, *(c for c in found if not isinstance(c, Clamp)))


def _placed(clamp: Clamp, layers: int, heads: int) -> Clamp:
    fine = -layers <= clamp.layer < layers and (clamp.head is None or -heads <= clamp.head < heads)
    if not fine or (clamp.kind == "perfect_layer" and clamp.layer % layers == 0):
        raise ExperimentError(
            f"got {clamp.spelled} for a net of {layers} layers of {heads} heads; expected one of these, counted from 0 "
            "(and a layer above the first for perfect_layer)."
        )
    return replace(clamp, layer=clamp.layer % layers, head=None if clamp.head is None else clamp.head % heads)


def _ignores(one: Clamp, other: Clamp) -> str:
    """Why nothing is left of `other` beside `one`; empty where something is."""
    same = (one.layer, one.head) == (other.layer, other.head)
    patterns = ("previous_token", "match", "random_pattern")
    if one.kind == "copy" and other.kind == "copy":
        return "there is one answer to be read"
    if one.kind == "copy" and (
        (other.kind in patterns and (same or other.layer > one.layer))
        or (other.kind == "ablate" and other.layer >= one.layer)
    ):
        return "copy reads the answer from scores, which no pattern, value or layer above changes"
    if one.kind == "perfect_layer" and (
        other.layer < one.layer or (other.kind in (*patterns, "perfect_layer") and other.layer == one.layer)
    ):
        return "perfect_layer gives that layer's pattern and goes around all below"
    if same and (one.kind in patterns and (other.kind in patterns or other.kind == "ablate")):
        return "both decide what this head brings"
    return ""
