"""At which layer a vector acts, chosen on queries that it was not made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech.captures import VariantActivations, capture_variants
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._vector import Vector, VectorError


@dataclass(frozen=True)
class AnswerScores:
    """`correct` (0 or 1; NaN where the answer is unknown), `log_probs` (of the right answer, nats per token), and `answers`: the
    label, or in free text the token, that was likeliest."""

    correct: Float[Tensor, "query variant"]
    log_probs: Float[Tensor, "query variant"]
    answers: Int[Tensor, "query variant"]

    @classmethod
    def of(cls, acts: VariantActivations, prompts: PromptSet) -> AnswerScores:
        """Of every query under every variant: the likeliest label word, or in free text the likeliest first token."""
        if acts.label_scores.shape[-1]:
            labels = torch.tensor([-1 if label is None else label for label in prompts.labels])[:, None]
            answers = acts.label_scores.argmax(dim=-1)
            correct, known = answers == labels, labels >= 0
        else:
            answers = acts.top_tokens
            correct, known = acts.target_ranks == 0, acts.target_ranks >= 0
        return cls(torch.where(known, correct.double(), torch.nan), acts.target_scores.double(), answers)


def split_queries(prompts: PromptSet, share: float = 0.25) -> tuple[PromptSet, PromptSet | None]:
    """The queries to make a vector of, and the last ones, held out; None where there are too few for both."""
    held = int(len(prompts.queries) * share)
    if held < 1:
        return prompts, None
    return replace(prompts, queries=prompts.queries[:-held]), replace(prompts, queries=prompts.queries[-held:])


def with_chosen_layer(
    model: ICLModel,
    vector: Vector,
    held_out: PromptSet,
    *,
    strength: float = 1.0,
    layers: Sequence[int] | None = None,
) -> Vector:
    """The vector at the layer at which it does most for the answers of zero-shot queries.

    The greatest accuracy wins; among equals the greatest mean log-probability of the answer, then the lowest layer. The
    whole curve stays in `meta["choice"]`.

    Args:
        held_out: queries that the vector was not made of.
        strength: at which it is tried.
        layers: to choose from; all of the vector's by default.

    Raises:
        VectorError: no query with a known answer.
    """
    layers = vector.layers if layers is None else tuple(layers)
    variants = [vector.edits(layer, strength) for layer in layers]
    found = AnswerScores.of(capture_variants(model, held_out, variants, "zs"), held_out)
    accuracy, log_probs = found.correct.nanmean(dim=0), found.log_probs.nanmean(dim=0)
    if bool(torch.isnan(accuracy).any()):
        raise VectorError("no query to choose a layer on has a known answer; give held_out= with answers, or layer=.")
    ranked = max(range(len(layers)), key=lambda n: (float(accuracy[n]), float(log_probs[n]), -n))
    curve = {"layers": list(layers), "accuracy": accuracy.tolist(), "log_prob": log_probs.tolist()}
    choice = {**curve, "queries": len(held_out.queries), "prompts": held_out.hash, "strength": strength}
    return replace(vector, layer=layers[ranked], meta={**vector.meta, "choice": choice})
