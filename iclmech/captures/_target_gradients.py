"""How the log-probability of the right answer's first token changes with a state at the prediction position.

The last token's row alone carries a graph: the demonstrations and the query's other tokens are constants, for nothing that
stands before a token depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import CaptureError, track
from iclmech.interventions import EditSite, Layout
from iclmech.interventions._state_edits import Places
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._label_scores import first_of_target, log_probs
from ._paths import no_fast_path
from ._positions import Places as Recorded
from ._prompt_rows import Batch, Setting, plan
from ._run_rows import Chunk, Path
from ._session import Session
from ._twin_variants import VARIANT_SITES, variant_chunks


@dataclass(frozen=True)
class TargetGradients:
    """Of every query, on the CPU: `states` at the prediction position, the `gradients` of `log_probs` in them, `log_probs` of
    the right answer's first token (nats), and its `ranks`: how many tokens are likelier."""

    states: Float[Tensor, "query layer ..."]
    gradients: Float[Tensor, "query layer ..."]
    log_probs: Float[Tensor, " query"]
    ranks: Int[Tensor, " query"]


def target_gradients(
    model: ICLModel,
    prompts: PromptSet,
    setting: Setting = "icl",
    site: str = "z",
    *,
    path: Path = "auto",
    progress: bool = False,
) -> TargetGradients:
    """∂ log P(first token of the right answer) / ∂ state, at the prediction position, in every layer.

    Args:
        model: with whatever updates are in force.
        prompts: queries with known answers.
        setting: "icl" or "zs".
        site: a state, such as "z" or "resid_post".
        path, progress: as in `capture`.

    Returns:
        `TargetGradients`; of "z" they are [query, layer, head, d_head].

    Raises:
        CaptureError: a query without an answer.
    """
    targets = [first_of_target(query, prompts.contexts[query.context]) for query in prompts.queries]
    if min(targets, default=-1) < 0:
        raise CaptureError("a query of these prompts has no answer; gradients of its log-probability need one.")
    batches = [batch for batch in plan(prompts, setting, Recorded.checked("prediction")) if not batch.answers]
    found: dict[int, tuple[Tensor, ...]] = {}
    for batch in track(batches, f"gradients in {site}, {setting}", enabled=progress):
        nudge = _Nudge(model, site, len(batch.rows))
        for chunk in _chunks(model, prompts, batch, nudge, path):
            queries = [batch.queries[n] for n in chunk.index]
            of_chunk = nudge.gradients(chunk, [targets[j] for j in queries])
            found |= dict(zip(queries, zip(*of_chunk, strict=True), strict=True))
    return TargetGradients(*(torch.stack([found[j][n] for j in range(len(found))]) for n in range(4)))


class _Nudge:
    """A zero added to a site at the last token of every row, in every layer, for the gradient in it."""

    def __init__(self, model: ICLModel, site: str, rows: int):
        self.model, self.site, shape = model, site, model.shape
        width = (shape.n_heads, shape.d_head) if site in ("z", "q") else (shape.d_model,)
        self.depth = shape.n_layers
        self.by_layer = [
            torch.zeros(rows, *width, dtype=model.dtype, device=model.device, requires_grad=True)
            for _ in range(self.depth)
        ]
        self.edit = EditSite(site, self._change, Places(-1, None), None, None, by_row=True)

    def _change(self, states: Tensor, layer: int, rows: Sequence[int], layout: Layout) -> Tensor:
        return states + self.by_layer[layer][[layout.index[row] for row in rows]]

    def gradients(self, chunk: Chunk, targets: Sequence[int]) -> tuple[Tensor, ...]:
        """(states, gradients, log-probabilities, ranks) of the rows of a chunk."""
        with torch.enable_grad():
            every = log_probs(self.model, chunk.values["resid_post"][:, -1, -1])
            scores = every[torch.arange(len(targets)), torch.tensor(targets, device=every.device)]
            of_layers = torch.autograd.grad(scores.sum(), self.by_layer, allow_unused=True, materialize_grads=True)
        gradients = torch.stack([of_layer[list(chunk.index)] for of_layer in of_layers], 1)
        states, ranks = chunk.values[self.site][:, -1], torch.count_nonzero(every > scores[:, None], dim=-1)
        return (*(_on_cpu(value) for value in (states, gradients, scores)), ranks.cpu())


def _on_cpu(value: Tensor) -> Tensor:
    value = value.detach()
    return (value.float() if value.dtype.itemsize < 4 else value).cpu()


def _chunks(model: ICLModel, prompts: PromptSet, batch: Batch, nudge: _Nudge, path: Path) -> Iterator[Chunk]:
    """The rows of a batch with a graph: through the twin as one variant of each, else through the hooked model."""
    layers = tuple(range(model.shape.n_layers))
    sites = tuple(dict.fromkeys((nudge.site, "resid_post")))
    session = Session(model, path, [nudge.edit], prompts=prompts, grad=True)
    job = session.job(batch.prefix, batch.rows, sites, layers, batch.first_position)
    quick = path in ("auto", "fast") and nudge.site in VARIANT_SITES and not no_fast_path(model, job, graph=True)
    if quick:
        clean = Session(model, "fast", prompts=prompts)
        fast = clean.fast(clean.job(batch.prefix, batch.rows, sites, layers, batch.first_position))
        yield from variant_chunks(fast, job, [[nudge.edit]])
    else:
        yield from session.run(batch.prefix, batch.rows, sites, layers, first_position=batch.first_position)
