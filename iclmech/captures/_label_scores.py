"""Label words scored at the prediction position: mean log-probability per token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.interventions import Intervention
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._prompt_rows import Continuation, Group, continuations
from ._run import iter_run
from ._run_rows import Path, Row
from ._twin_run import FastRun

_ROWS = 256  # logits of this many positions at a time


@dataclass(frozen=True)
class RunOptions:
    """How the passes of one group of queries are run, and its prefix once encoded; the same for every one of them."""

    interventions: Sequence[Intervention]
    path: Path
    first_position: int | None
    encoded: dict[tuple[int, ...], FastRun] = field(default_factory=dict)

    def keywords(self) -> dict[str, Any]:
        """As keyword arguments of `iter_run`."""
        return {
            "interventions": self.interventions,
            "path": self.path,
            "first_position": self.first_position,
            "encoded": self.encoded,
        }


def log_probs(model: ICLModel, resid: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_vocab"]:
    """Log-probabilities of the next token after final residual states, float32 at least."""
    logits = model.readout(resid)
    return torch.log_softmax(logits.float() if logits.dtype.itemsize < 4 else logits, dim=-1)


class LabelScores:
    """Accumulates the scores of a prompt set, group by group."""

    def __init__(self, model: ICLModel, prompts: PromptSet):
        self.model, self.prompts = model, prompts
        width = max((len(context.label_tokens) for context in prompts.contexts), default=0)
        dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
        self.sums = torch.full((len(prompts.queries), width), float("nan"), dtype=dtype)
        self.targets = torch.full((len(prompts.queries),), float("nan"), dtype=dtype)

    @torch.no_grad()
    def first_tokens(self, queries: Sequence[int], resid: Float[Tensor, "row d_model"]) -> None:
        """Score the first token of every label word from final residual states at the prediction position."""
        for start in range(0, len(queries), _ROWS):
            scores = log_probs(self.model, resid[start : start + _ROWS]).cpu()
            for row, j in zip(scores, queries[start : start + _ROWS], strict=True):
                query = self.prompts.queries[j]
                words = self.prompts.contexts[query.context].label_tokens
                if words:
                    self.sums[j, : len(words)] = row[[word[0] for word in words]].to(self.sums.dtype)
                elif query.target_tokens:
                    self.targets[j] = row[query.target_tokens[0]]

    @torch.no_grad()
    def other_tokens(self, group: Group, run: RunOptions) -> None:
        """Add the remaining tokens of longer label words; a pass per distinct number of them."""
        by_length: dict[int, list[tuple[Row, Continuation]]] = defaultdict(list)
        for row, continuation in continuations(group, self.prompts):
            by_length[len(row.at)].append((row, continuation))
        last = [self.model.shape.n_layers - 1]
        for pairs in by_length.values():
            rows = [row for row, _ in pairs]
            for chunk in iter_run(self.model, group.prefix, rows, ("resid_post",), layers=last, **run.keywords()):
                scores = log_probs(self.model, chunk.values["resid_post"][:, :, 0])
                for n, got in zip(chunk.index, scores, strict=True):
                    self._add(pairs[n][1], got.cpu())

    def _add(self, one: Continuation, scores: Float[Tensor, "at d_vocab"]) -> None:
        total = scores[range(len(one.targets)), one.targets].sum()
        if one.label < 0:
            self.targets[one.query] += total
        else:
            self.sums[one.query, one.label] += total

    def finish(self) -> tuple[Float[Tensor, "query label"], Float[Tensor, "query"]]:
        """(label scores, target scores), both per token."""
        for j, query in enumerate(self.prompts.queries):
            words = self.prompts.contexts[query.context].label_tokens
            if words:
                lengths = torch.tensor([len(word) for word in words], dtype=self.sums.dtype)
                self.sums[j, : len(words)] /= lengths
                if query.label is not None:
                    self.targets[j] = self.sums[j, query.label]
            elif query.target_tokens:
                self.targets[j] /= len(query.target_tokens)
        return self.sums, self.targets
