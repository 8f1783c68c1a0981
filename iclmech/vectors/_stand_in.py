"""Vectors made of demonstrations alone, as an update is: what `compare` puts beside weight updates.

Every demonstration in turn is the query, behind the others: no other example is looked at, and no test query. The layer is
chosen on the second half of them with a vector of the first; then the vector is made of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np

from iclmech._base import Guard
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Query, Span

from ._function_vector import function_vector
from ._in_context_vector import in_context_vector
from ._layer_choice import with_chosen_layer
from ._learned_vector import learn_vector
from ._task_vector import task_vector
from ._vector import Vector, VectorError

STEPS = 40
"""Of a learned vector."""


@dataclass(frozen=True)
class StandIn:
    """A vector at a strength, with the face of a weight update.

    `meta["unreached"]`: layers whose attention comes before the edit, in which nothing can be compared.
    """

    vector: Vector
    strength: float
    n_layers: int
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "unreached" not in self.meta:
            object.__setattr__(self, "meta", {**self.meta, "unreached": untouched(self.vector)})

    def applied(self, model: ICLModel) -> Guard:
        """The vector is in force inside."""
        return self.vector.applied(model, strength=self.strength)

    def norm(self) -> float:
        """Length of what is put in, over all layers concerned."""
        rows = self.vector.values if self.vector.together else self.vector.values[self.vector.layers.index(self.layer)]
        return abs(self.strength) * float(rows.double().norm())

    def relative_norm(self) -> float:
        """NaN: a vector changes no weights."""
        return float("nan")

    @property
    def layer(self) -> int:
        """The layer at which it acts; the first where it acts in several."""
        return self.vector.layers[0] if self.vector.layer is None else self.vector.layer

    def random_like(self, seed: int) -> StandIn:
        """A random vector of the same length, in the same place."""
        return replace(self, vector=self.vector.like("random", seed))

    def at_strength(self, strength: float, unreached: list[int]) -> StandIn:
        """The same vector at another strength."""
        return replace(self, strength=strength, meta={**self.meta, "unreached": unreached})


def untouched(vector: Vector) -> list[int]:
    """Layers whose attention output comes before the edit.

    >>> import torch
    >>> untouched(Vector(torch.ones(4, 2), layer=1)), untouched(Vector(torch.ones(1, 2), "attn_out", layers=(2,), layer=2))
    ([0, 1], [0, 1])
    """
    first = vector.layers[0] if vector.layer is None else vector.layer
    return list(range(first + (vector.site != "attn_out")))


def each_as_query(prompts: PromptSet) -> PromptSet:
    """Every demonstration of the only context as a query behind the others.

    Raises:
        VectorError: fewer than two demonstrations.
    """
    context = prompts.contexts[0]
    many = context.demonstrations
    if len(prompts.contexts) != 1 or len(many) < 2:
        raise VectorError(
            f"got {len(prompts.contexts)} contexts of {len(many)} demonstrations; expected one of at least two, for each of them "
            "is a query behind the others."
        )
    words = context.label_words
    own = all(d.label is not None and words[d.label : d.label + 1] == [d.label_word] for d in many)
    if not own:  # of another task: their answers are scored as free text
        context = replace(context, label_words=[], label_tokens=[])
    contexts, queries = [], []
    for n, d in enumerate(many):
        start, stop = d.label_span
        spans = tuple(Span(s.role, s.start - 1, s.stop - 1) for s in d.spans if s.role not in ("bos", "label"))
        contexts.append(context.with_demonstrations([*many[:n], *many[n + 1 :]]))
        queries.append(
            Query(n, d.tokens[1:start], d.label if own else None, d.tokens[start:stop], d.text, spans, d.index)
        )
    return replace(prompts, contexts=contexts, queries=queries, k=len(many) - 1)


def _halves(prompts: PromptSet) -> tuple[PromptSet, PromptSet]:
    middle = (len(prompts.queries) + 1) // 2
    return replace(prompts, queries=prompts.queries[:middle]), replace(prompts, queries=prompts.queries[middle:])


def _stand_in(model: ICLModel, prompts: PromptSet, lr: float, make: Callable[[PromptSet], Vector]) -> StandIn:
    """Choose the layer by halves where the vector acts in one, then make it of all."""
    mine = each_as_query(prompts)
    vector = make(mine)
    if not vector.together:
        first, second = _halves(mine)
        vector = vector.at(with_chosen_layer(model, make(first), second, strength=lr).layer)
    return StandIn(vector, lr, model.shape.n_layers, {"method": vector.meta.get("method", ""), "layer": vector.layer})


def task(model: ICLModel, prompts: PromptSet, *, lr: float = 1.0, **training: Any) -> StandIn:
    """The task vector of the demonstrations; `lr` is its strength, and what else an update is told does not matter."""
    return _stand_in(model, prompts, lr, lambda p: task_vector(model, p, layer=0).at(None))


def function(model: ICLModel, prompts: PromptSet, *, lr: float = 1.0, **training: Any) -> StandIn:
    """The function vector of the demonstrations, of the heads whose effects are largest on them."""
    vectors: Any = import_module("iclmech.vectors")
    effects = vectors.head_effects(model, each_as_query(prompts))
    return _stand_in(model, prompts, lr, lambda p: function_vector(model, p, effects, layer=0).at(None))


def in_context(model: ICLModel, prompts: PromptSet, *, lr: float = 1.0, **training: Any) -> StandIn:
    """The in-context vector of the demonstrations: from their inputs to their answers; `lr` in units of the usual strength, .1."""
    vector = in_context_vector(model, prompts)
    return StandIn(vector, 0.1 * lr, model.shape.n_layers, {"method": "in_context", "layer": None})


def learned(model: ICLModel, prompts: PromptSet, *, lr: float = 1.0, **training: Any) -> StandIn:
    """The vector learned on the demonstrations as zero-shot queries, at a quarter, half or three quarters of the depth."""
    depth = model.shape.n_layers
    layers = sorted({int(x) for x in np.array([0.25, 0.5, 0.75]) * depth})

    def make(prompts: PromptSet) -> Vector:
        queries = [replace(query, context=0) for query in prompts.queries]
        return learn_vector(
            model, replace(prompts, queries=queries, contexts=prompts.contexts[:1]), layers, steps=STEPS
        ).at(None)

    return _stand_in(model, prompts, lr, make)
