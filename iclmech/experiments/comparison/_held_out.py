"""Held-out training examples: what zero-shot, the context and every rate of an update do on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from iclmech._base import REGISTRIES, Update, UpdateError
from iclmech.analysis import metrics
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import Context, PromptSet, Query, Span, Task

from ._measure import Condition
from ._plan import Plan
from ._prompts import seed_prompts
from ._rate_rule import HeldOut
from ._records import Records

DRAWS = 3
"""Draws of demonstrations that a rate is chosen on, at least."""
EXAMPLES = 64
"""Held-out examples of each draw, at most."""
TEXTS, TEXT_TOKENS = 32, 64
"""Held-out input texts of each draw, and tokens of each, at most."""
_BYTES = 2**30
"""Weight changes that are held at a time."""
_AT_ONCE = 7
"""Rates that are trained in one call: the walk rarely needs all of the grid."""


@dataclass(frozen=True)
class Draw:
    """One draw of demonstrations, with held-out examples that are not among them.

    Attributes:
        condition: model and prompts.
        texts: the input texts alone, as prompts whose answer is the rest of the text; None where they are too short.
        zs, icl: states and predictions of both settings.
        text_nll: zero-shot, nats per token.
    """

    condition: Condition
    texts: PromptSet | None
    zs: Activations
    icl: Activations
    text_nll: float

    def under(self, weights: Any) -> tuple[Activations, float]:
        """The examples zero-shot under an update, and what a token of the texts then costs."""
        model = self.condition.model
        with weights.applied(model):
            return self.condition.run(self.condition.prompts, "zs", ("attn_out",)), text_nll(model, self.texts)


@dataclass
class Walked:
    """What one rate did, draw by draw; empty where it diverges."""

    held: HeldOut | None = None
    sim_aou: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [example, layer]
    displacement: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [example, layer]
    by_draw: np.ndarray = field(default_factory=lambda: np.zeros(0))  # label NLL [draw]


def seeds_of_draws(plan: Plan) -> list[int]:
    """The first seeds, and more where there are fewer than three."""
    seeds = [*plan.seeds[:DRAWS]]
    return seeds + [s for s in range(DRAWS + len(seeds)) if s not in seeds][: DRAWS - len(seeds)]


def draws_of(model: ICLModel, task: Task, plan: Plan, records: Records, step: Any, seeds: Sequence[int]) -> list[Draw]:
    """Demonstrations of some seeds, and examples that are not among them."""
    n = min(plan.request.n_queries, EXAMPLES)
    made = []
    for seed in seeds:
        step("held-out examples")
        prompts = seed_prompts(model, task, plan, seed, records, n_queries=n, queries_from="train")
        condition = Condition(plan, records, model, prompts, "trained")
        texts = input_texts(prompts)
        zs, icl = (condition.run(prompts, setting, ("attn_out",)) for setting in ("zs", "icl"))
        made.append(Draw(condition, texts, zs, icl, text_nll(model, texts)))
    return made


def input_texts(prompts: PromptSet) -> PromptSet | None:
    """The input texts of the queries without template and label, each as one query whose answer is the rest of it.

    `target_scores` of its zero-shot capture is then the mean log-probability of a token.
    """
    queries = []
    for query in prompts.queries:
        tokens = [t for span in query.spans if span.role == "text" for t in query.tokens[span.start : span.stop]]
        first, rest = tokens[:1], tokens[1:TEXT_TOKENS]
        if rest and len(queries) < TEXTS:
            queries.append(Query(0, first, None, rest, query.text, (Span("text", 0, 1),), query.index))
    if not queries:
        return None
    bare = Context.of([], bos=prompts.bos, separator=[], label_words=[], label_tokens=[])
    return replace(prompts, contexts=[bare], queries=queries, k=0)


def text_nll(model: ICLModel, texts: PromptSet | None) -> float:
    """Nats per token of the texts, over all of their tokens but the first of each."""
    if texts is None:
        return math.nan
    scores = capture(model, texts, "zs", ()).target_scores.double()
    lengths = torch.tensor([len(q.target_tokens or ()) for q in texts.queries], dtype=torch.float64)
    return float(-(scores * lengths).sum() / lengths.sum())


def evidence(draws: Sequence[Draw], acts: Sequence[Activations], texts: Sequence[float], **more: float) -> HeldOut:
    """What one setting does on the examples of all draws."""
    nll = -torch.cat([a.target_scores for a in acts]).double()
    conditional, correct = (torch.full_like(nll, torch.nan) for _ in range(2))
    labels = [q.label for d in draws for q in d.condition.prompts.queries]
    if all(label is not None for label in labels):
        scores = torch.cat([a.label_scores for a in acts]).double()
        conditional = torch.logsumexp(scores, dim=1) + nll
        correct = metrics.correct(scores, labels).double()
    return HeldOut(nll.numpy(), correct.numpy(), conditional.numpy(), float(np.mean(texts)), **more)


def walk(draws: Sequence[Draw], update: str, rates: Sequence[float], step: Any) -> Iterator[Walked]:
    """What each rate does, from the smallest upwards, as long as the caller asks."""
    size = sum(2 * t.tensor.numel() for t in draws[0].condition.model.parameters("attn_kv")) * 2
    at_once = max(1, min(_AT_ONCE, _BYTES // (len(draws) * size)))
    for start in range(0, len(rates), at_once):
        some = rates[start : start + at_once]
        made = []
        for number, draw in enumerate(draws):
            step(f"{update}, {len(some)} rates, draw {number + 1}")
            made.append(updates_at(draw.condition, update, some))
        for position, lr in enumerate(some):
            step(f"{update} at {lr:g}")
            weights = [row[position] for row in made]
            for row in made:
                row[position] = None  # one rate's weights less to hold
            yield Walked() if any(w is None for w in weights) else _walked(draws, weights)


def _walked(draws: Sequence[Draw], weights: Sequence[Any]) -> Walked:
    acts, texts = zip(*(draw.under(w) for draw, w in zip(draws, weights, strict=True)), strict=True)
    moved = np.concatenate([metrics.displacement(d.zs, a).numpy() for d, a in zip(draws, acts, strict=True)])
    sim = np.concatenate([metrics.sim_aou(d.zs, d.icl, a).numpy() for d, a in zip(draws, acts, strict=True)])
    norm = float(np.mean([w.relative_norm() for w in weights]))
    held = evidence(draws, acts, texts, relative_norm=norm, displacement=float(np.nanmean(moved)))
    return Walked(held, sim, moved, np.array([-float(a.target_scores.nanmean()) for a in acts]))


def updates_at(condition: Condition, update: str, rates: Sequence[float]) -> list[Any]:
    """The update at every rate, in one call where the method takes several; None where it diverges."""
    function = condition.plan.updates[update]
    if len(rates) > 1 and takes_rates(function):
        try:
            return list(condition.plan.update(update, condition.model, condition.prompts, list(rates)))
        except UpdateError:  # of one of them: find out which
            half = len(rates) // 2
            return [*updates_at(condition, update, rates[:half]), *updates_at(condition, update, rates[half:])]
    made: list[Any] = []
    for lr in rates:
        try:
            made.append(condition.plan.update(update, condition.model, condition.prompts, lr))
        except UpdateError:
            made.append(None)
    return made


def takes_rates(function: Any) -> bool:
    """Whether an update is a built-in one, which takes a list of rates and shares the work."""
    record = getattr(function, "func", None)
    if not isinstance(record, Update) or record.name not in REGISTRIES["update"]:
        return False
    return isinstance(record.function, str) and record.function.startswith("iclmech.updates:")
