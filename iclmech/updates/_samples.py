"""Demonstrations as training sequences: which tokens are read, and which of them the loss counts."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import UpdateError, digest
from iclmech.models import ICLModel
from iclmech.tasks import Context, Demonstration, PromptSet

Loss = Literal["label", "all"]
Source = PromptSet | Context | SequenceOf[Demonstration]


@dataclass(frozen=True)
class Sample:
    """One training sequence. The loss counts `tokens[i]` for i in [start, stop), predicted from position i − 1."""

    number: int
    tokens: list[int]
    start: int
    stop: int

    @property
    def positions(self) -> slice:
        """Where the counted tokens are predicted."""
        return slice(self.start - 1, self.stop - 1)

    def inputs(self, device: torch.device | str) -> Tensor:
        """`[1, token]`, on `device`."""
        return torch.tensor([self.tokens], device=device)

    def targets(self, device: torch.device | str) -> Tensor:
        """`[counted]`, on `device`."""
        return torch.tensor(self.tokens[self.start : self.stop], device=device)


def loss_of(logits: Float[Tensor, "*layer counted d_vocab"], sample: Sample) -> Float[Tensor, "*layer"]:
    """Mean negative log-likelihood of the counted tokens (in at least float32), kept apart for leading dimensions."""
    return token_losses(logits, sample.targets(logits.device).expand(logits.shape[:-1])).mean(-1)


def token_losses(logits: Float[Tensor, "*token d_vocab"], targets: Int[Tensor, "*token"]) -> Float[Tensor, "*token"]:
    """Negative log-likelihood of every target (in at least float32)."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)


def samples_of(model: ICLModel, source: Source, loss: str) -> list[Sample]:
    """The demonstrations of a `PromptSet` with one context, of a `Context`, or of a list, in their order.

    Each is its own sequence (BOS + input + label). `loss="all"` counts every token after BOS, "label" the label's.

    Raises:
        UpdateError: several contexts, no demonstrations, an unknown loss, a demonstration that does not fit the window
            of the model, or a label span that is empty or outside its demonstration.
    """
    if loss not in ("label", "all"):
        raise UpdateError(f"got loss={loss!r}; expected 'label' (label tokens only) or 'all' (every token after BOS).")
    if isinstance(source, PromptSet):
        if len(source.contexts) != 1:
            raise UpdateError(
                f"got prompts with {len(source.contexts)} contexts; an update belongs to one. Pass prompts.contexts[c]."
            )
        source = source.contexts[0]
    demonstrations = list(source.demonstrations if isinstance(source, Context) else source)
    if not demonstrations:
        raise UpdateError("got a context without demonstrations (k=0); an update needs at least one to learn from.")
    return [_sample(model, number, demo, loss) for number, demo in enumerate(demonstrations)]


def _sample(model: ICLModel, number: int, demonstration: Demonstration, loss: str) -> Sample:
    tokens, (start, stop) = list(demonstration.tokens), demonstration.label_span
    if not 1 <= start < stop <= len(tokens):
        raise UpdateError(
            f"demonstration {number} has label span {(start, stop)} in {len(tokens)} tokens; "
            "expected a label of at least one token, after BOS and inside the demonstration."
        )
    n_ctx = model.shape.n_ctx
    if n_ctx is not None and len(tokens) > n_ctx:
        raise UpdateError(f"demonstration {number} has {len(tokens)} tokens; the model's window holds {n_ctx}.")
    return Sample(number, tokens, 1, len(tokens)) if loss == "all" else Sample(number, tokens, start, stop)


def digest_of(samples: list[Sample]) -> str:
    """A hash of what is learnt from, so that a result can say which demonstrations made an update."""
    return digest([[sample.tokens, sample.start, sample.stop] for sample in samples])


def check_rates(lr: float | SequenceOf[float]) -> list[float]:
    """One learning rate or several, as a list; raises `UpdateError` unless each is finite (in float32) and ≥ 0."""
    rates = [float(rate) for rate in lr] if isinstance(lr, SequenceOf) else [float(lr)]
    bad = [rate for rate in rates if not 0 <= rate <= torch.finfo(torch.float32).max]
    if bad or not rates:
        raise UpdateError(f"got lr={lr!r}; expected a finite number ≥ 0, or a list of them with at least one entry.")
    return rates
