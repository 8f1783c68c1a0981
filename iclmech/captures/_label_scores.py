"""Answers scored at the prediction position: mean log-probability per token, and the rank of the right one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech.models import ICLModel
from iclmech.tasks import Context, PromptSet, Query

from ._prompt_rows import Batch, Continuation, answers_of
from ._run_rows import Chunk

_ROWS = 256  # logits of this many positions at a time


@dataclass(frozen=True)
class Scores:
    """Of every query, or of every (query, variant): scores of the label words and of the right answer (nats per token),
    how many tokens are likelier than the right answer's first (-1: unknown), and the likeliest token."""

    labels: Float[Tensor, "*slot label"]
    targets: Float[Tensor, "*slot"]
    ranks: Int[Tensor, "*slot"]
    tops: Int[Tensor, "*slot"]


def log_probs(model: ICLModel, resid: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_vocab"]:
    """Log-probabilities of the next token after final residual states, float32 at least."""
    logits = model.readout(resid)
    return torch.log_softmax(logits.float() if logits.dtype.itemsize < 4 else logits, dim=-1)


def first_of_target(query: Query, context: Context) -> int:
    """The first token of a query's right answer, -1 where it is not known."""
    if query.label is not None and context.label_tokens:
        return context.label_tokens[query.label][0]
    return query.target_tokens[0] if query.target_tokens else -1


class LabelScores:
    """Adds up the scores of a prompt set, chunk by chunk. With `variants`, query j under variant v has slot j · variants + v.

    `first_token`: an answer is scored by its first token alone.
    """

    def __init__(self, model: ICLModel, prompts: PromptSet, variants: int = 1, first_token: bool = False):
        self.model, self.prompts, self.variants, self.first_token = model, prompts, variants, first_token
        width = max((len(context.label_tokens) for context in prompts.contexts), default=0)
        dtype = torch.float64 if model.dtype == torch.float64 else torch.float32
        slots = len(prompts.queries) * variants
        self.sums = torch.full((slots, width), float("nan"), dtype=dtype)
        self.targets = torch.full((slots,), float("nan"), dtype=dtype)
        self.ranks, self.tops = (torch.full((slots,), -1, dtype=torch.long) for _ in range(2))

    @torch.no_grad()
    def add(self, chunk: Chunk, batch: Batch) -> None:
        """Take over the final states of a chunk's rows: first tokens of all answers, or the rest of longer ones."""
        final = chunk.values["resid_post"][:, :, chunk.layers.index(self.model.shape.n_layers - 1)]
        slots = [batch.queries[n] for n in chunk.index]
        if batch.answers:
            self.other_tokens([batch.answers[n] for n in chunk.index], slots, final)
        else:
            self.first_tokens(slots, final[:, -1])

    @torch.no_grad()
    def first_tokens(self, slots: Sequence[int], resid: Float[Tensor, "row d_model"]) -> None:
        """Score the first token of every answer from final residual states at the prediction position."""
        for start in range(0, len(slots), _ROWS):
            mine = slots[start : start + _ROWS]
            scores = log_probs(self.model, resid[start : start + _ROWS])
            for row, slot in zip(scores.cpu(), mine, strict=True):
                self._add_first(slot, row)
                self.tops[slot] = row.argmax()
                target = first_of_target(*self._query(slot))
                if target >= 0 and not torch.isnan(row[target]):
                    self.ranks[slot] = torch.count_nonzero(row > row[target])

    def _query(self, slot: int) -> tuple[Query, Context]:
        query = self.prompts.queries[slot // self.variants]
        return query, self.prompts.contexts[query.context]

    def _add_first(self, slot: int, scores: Float[Tensor, " d_vocab"]) -> None:
        for label, tokens in answers_of(*self._query(slot)):
            if label < 0:
                self.targets[slot] = scores[tokens[0]]
            else:
                self.sums[slot, label] = scores[tokens[0]]

    @torch.no_grad()
    def other_tokens(
        self, answers: Sequence[Continuation], slots: Sequence[int], resid: Float[Tensor, "row at d_model"]
    ) -> None:
        """Add the remaining tokens of longer answers."""
        size = max(1, _ROWS // resid.shape[1])
        for start in range(0, len(answers), size):
            scores = log_probs(self.model, resid[start : start + size])
            some = answers[start : start + size]
            targets = torch.tensor([one.targets for one in some], device=scores.device)
            totals = scores.gather(-1, targets[..., None])[..., 0].sum(-1).cpu()
            for one, slot, total in zip(some, slots[start : start + size], totals, strict=True):
                if one.label < 0:
                    self.targets[slot] += total
                else:
                    self.sums[slot, one.label] += total

    def finish(self) -> Scores:
        """Everything, per token."""
        for slot in range(len(self.targets)):
            query, context = self._query(slot)
            for label, tokens in answers_of(query, context):
                scored = 1 if self.first_token else len(tokens)
                if label < 0:
                    self.targets[slot] /= scored
                else:
                    self.sums[slot, label] /= scored
            if context.label_tokens and query.label is not None:
                self.targets[slot] = self.sums[slot, query.label]
        return Scores(self.sums, self.targets, self.ranks, self.tops)
