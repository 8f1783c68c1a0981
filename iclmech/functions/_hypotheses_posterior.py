"""Exact Bayes over a finite class of hypotheses: every prefix in one pass, by adding up log-likelihoods."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ._prefix_sums import before

CONTRADICTION = -60.0
"""Log-likelihood, in nats, of what a hypothesis excludes. Not -∞: where nothing is consistent, the least contradicted counts."""


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """What every hypothesis says of a set of prompts.

    Attributes:
        log_prior: nats.
        log_value: of the row's own values.
        log_input: of the row's inputs; None where all hypotheses have the same inputs.
        log_asked: of what is asked behind each prefix; None likewise.
        answers: what each answers: P(y = 1), a mean, or a distribution.
    """

    log_prior: Float64[Tensor, " hypothesis"]
    log_value: Float64[Tensor, "prompt example hypothesis"]
    answers: Float64[Tensor, "prompt prefix hypothesis *symbol"]
    log_input: Float64[Tensor, "prompt example hypothesis"] | None = None
    log_asked: Float64[Tensor, "prompt prefix hypothesis"] | None = None

    def log_posterior(self) -> Float64[Tensor, "prompt prefix hypothesis"]:
        """Behind every prefix: n pairs, and the point that is asked."""
        seen = self.log_value if self.log_input is None else self.log_value + self.log_input
        joint = self.log_prior + before(seen)
        return (joint if self.log_asked is None else joint + self.log_asked).log_softmax(dim=-1)

    def mean(self) -> Float64[Tensor, "prompt prefix *symbol"]:
        """The posterior mean answer."""
        share = self.log_posterior().exp()
        if self.answers.ndim == 4:
            return torch.einsum("pnh,pnhs->pns", share, self.answers)
        return (share * self.answers).sum(dim=-1)

    def log_evidence(self) -> Float64[Tensor, "prompt prefix"]:
        """log p(y_n | x_n, what stands before), nats, of rows whose queries are their own inputs."""
        return (self.log_posterior() + self.log_value).logsumexp(dim=-1)

    def regret(self) -> Float64[Tensor, " prompt"]:
        """How many nats the mixture loses against the best hypothesis of each prompt: at most log of their number for an even prior.

        Source: the bound is textbook; Zhang et al., arXiv 2305.19420, for averages over in-context learning.
        """
        return self.log_value.sum(dim=1).max(dim=-1).values - self.log_evidence().sum(dim=1)
