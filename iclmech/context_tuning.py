"""Context-aware prompt tuning: between learning in context and gradient descent, the demonstrations' embeddings are refined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import UpdateError, rng
from iclmech.interventions import Layout, placed
from iclmech.models import ICLModel
from iclmech.tasks import Context, PromptSet


@dataclass(frozen=True)
class TunedContext:
    """Contexts with moved embeddings, as an intervention: `capture(model, prompts, "icl", interventions=[tuned])`.

    Attributes:
        deltas: ids of a context → what is added to the embedding of each of its tokens, [position, d_model].
        losses: loss before each step, averaged over contexts.
        radii: ids of a context → how far each token may move, [position].
    """

    deltas: dict[tuple[int, ...], Tensor]
    losses: list[float] = field(default_factory=list)
    radii: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    def splits(self, model: ICLModel) -> bool:
        """The same is done to a context for every query, so it is encoded once."""
        return True

    def __call__(self, model: ICLModel, layout: Layout) -> list[Any]:
        """Hooks on the residual stream before the first block, at the tokens of a known context."""
        if layout.cached:
            return []
        before = layout.prefix_tokens or ()
        rows = layout.tokens or ((),)
        found = [self._delta((*before, *(own or ()))) for own in rows]
        if all(delta is None for delta in found):
            return []

        def moved(states: Tensor) -> Tensor:
            parts = []
            for state, delta in zip(states, found, strict=True):
                if delta is not None:
                    own = delta.to(state)
                    state = torch.cat([state[: len(own)] + own, state[len(own) :]])
                parts.append(state)
            return torch.stack(parts)

        return [("resid_pre", 0, moved)]

    def _delta(self, ids: tuple[int, ...]) -> Tensor | None:
        return next((d for known, d in self.deltas.items() if ids[: len(known)] == known), None)

    def random(self, seed: int = 0) -> TunedContext:
        """Control: every token moved as far, in a random direction."""
        generator = rng(seed, "random context tuning")
        made = {}
        for ids, delta in self.deltas.items():
            drawn = torch.randn(delta.shape, generator=generator)
            made[ids] = drawn / drawn.norm(dim=-1, keepdim=True) * delta.norm(dim=-1, keepdim=True).to(drawn)
        return TunedContext(made, [], self.radii)


def tune_context(
    model: ICLModel,
    prompts: PromptSet | Context,
    *,
    steps: int = 10,
    lr: float = 0.2,
    radius: float = 0.1,
    label_radius: float | None = None,
    decay: float = 0.95,
) -> TunedContext:
    """Refine the embeddings of demonstrations by projected gradient descent; the weights stay as they are.

    The loss of a context is the negative log-likelihood of its own label words, each read behind the demonstrations before it; the
    last counts 1, the one before it `decay`, and so on. A step moves every token by `lr` times its radius against its gradient, then
    back into the ball of that radius around the token's own embedding. BOS does not move. With radius 0, or no steps, the result is
    learning in context to the bit.

    Args:
        model: whose embeddings they are.
        prompts: contexts with demonstrations.
        steps: gradient steps.
        lr: length of a step, as a share of the radius.
        radius: how far a token may move, as a share of the norm of its embedding.
        label_radius: the same for tokens of label words; `radius` by default.
        decay: weight of a demonstration relative to the next one.

    Returns:
        A `TunedContext`.

    Raises:
        UpdateError: no demonstrations, or a number out of range.

    Source: Blau et al., arXiv 2410.17222; there each training example is also asked once more behind the whole context, which holds it.

    >>> import iclmech as icl
    >>> model = icl.load_model("icl-mini")
    >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=4)
    >>> tuned = tune_context(model, prompts, steps=3)
    >>> tuned.losses[-1] < tuned.losses[0]
    True
    """
    label_radius = radius if label_radius is None else label_radius
    if steps < 0 or lr < 0 or min(radius, label_radius) < 0 or not 0 < decay <= 1:
        raise UpdateError(
            f"got steps={steps}, lr={lr}, radius={radius}, label_radius={label_radius}, decay={decay}; expected numbers ≥ 0, and a decay "
            "above 0 and at most 1."
        )
    contexts = prompts.contexts if isinstance(prompts, PromptSet) else [prompts]
    if not all(context.demonstrations for context in contexts):
        raise UpdateError("got a context without demonstrations (k=0); there is nothing to refine.")
    tuned = TunedContext({})
    curves = []
    for context in contexts:
        ids = tuple(context.tokens)
        radii = _radii(model, context, radius, label_radius)
        delta, losses = _descend(model, context, radii, steps, lr, decay)
        tuned.deltas[ids], tuned.radii[ids] = delta, radii
        curves.append(losses)
    tuned.losses.extend(sum(column) / len(column) for column in zip(*curves, strict=True))
    return tuned


def _radii(model: ICLModel, context: Context, radius: float, label_radius: float) -> Float[Tensor, " position"]:
    seen: list[Tensor] = []

    def look(states: Tensor) -> Tensor:
        seen.append(states.detach())
        return states

    with torch.no_grad(), model.hooks([("resid_pre", 0, look)]):
        model.forward(torch.tensor([context.tokens], device=model.device))
    norms = seen[0][0].norm(dim=-1)
    share = torch.full_like(norms, radius)
    for demonstration in context.demonstrations:
        share[_label_at(demonstration)] = label_radius
    share[0] = 0.0
    return share * norms


def _label_at(demonstration: Any) -> slice:
    """Where the label stands in the context."""
    start, stop = demonstration.label_span
    return slice(demonstration.context_start + start - 1, demonstration.context_start + stop - 1)


def context_loss(
    model: ICLModel, context: Context, delta: Float[Tensor, "position d_model"], decay: float = 0.95
) -> Float[Tensor, ""]:
    """The loss that `tune_context` lowers, with a graph to `delta`: weighted mean over demonstrations, nats per label token."""
    ids = tuple(context.tokens)
    with placed(model, [TunedContext({ids: delta})], [ids]):
        logits = model.forward(torch.tensor([ids], device=model.device))[0]
    terms: list[Tensor] = []
    weights: list[float] = []
    for number, demonstration in enumerate(context.demonstrations):
        at = _label_at(demonstration)
        gold = torch.tensor(ids[at], device=logits.device)
        terms.append(torch.nn.functional.cross_entropy(logits[at.start - 1 : at.stop - 1].float(), gold))
        weights.append(decay ** (len(context.demonstrations) - 1 - number))
    share = torch.tensor(weights, device=logits.device) / sum(weights)
    return (torch.stack(terms) * share).sum()


def _descend(
    model: ICLModel, context: Context, radii: Tensor, steps: int, lr: float, decay: float
) -> tuple[Tensor, Sequence[float]]:
    delta = torch.zeros(len(radii), model.shape.d_model, dtype=radii.dtype, device=radii.device)
    losses = []
    for _ in range(steps):
        delta = delta.detach().requires_grad_()
        with torch.enable_grad():
            loss = context_loss(model, context, delta, decay)
        (gradient,) = torch.autograd.grad(loss, delta)
        losses.append(float(loss.detach()))
        length = gradient.norm(dim=-1, keepdim=True)
        away = torch.where(length > 0, gradient / length.clamp(min=1e-30), 0.0)
        delta = delta.detach() - lr * radii[:, None] * away
        delta = delta * (radii / delta.norm(dim=-1).clamp(min=1e-30)).clamp(max=1.0)[:, None]
    with torch.no_grad():
        losses.append(float(context_loss(model, context, delta, decay)))
    return delta.detach(), losses
