"""Rows behind a prefix through the hooked model: whole, or behind a prefix that was encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from iclmech.interventions import Layout, hooks_aside, specs_of
from iclmech.models import SCORE_TAPS, ICLModel

from ._recorder import Recorder
from ._run_rows import Chunk, Job, Row, Tokens, ids_of

_BUDGET = 256 * 2**20  # bytes of keys, values and attention that one chunk may take


def chunk_rows(model: ICLModel, prefix: int, own: int) -> int:
    """How many rows go through the model together: what fits the chunk's budget, at least one, at most 64."""
    s = model.shape
    keys = 2 * s.n_layers * s.n_kv_heads * s.d_head * (prefix + own)
    attention = 4 * s.n_heads * own * (prefix + own)
    states = 16 * own * s.d_model
    return max(1, min(64, _BUDGET // (4 * (keys + attention + states))))


class EncodedPrefix:
    """A prefix encoded once, under the interventions of a job, and its keys where scores are computed from them."""

    def __init__(self, model: ICLModel, job: Job):
        self.prefix = job.prefix
        specs = specs_of(model, prefix_layout(job), job.interventions)
        source = model.capabilities.scores.source
        taps = [] if source == "hook" else [SCORE_TAPS[source][-1]]
        with torch.set_grad_enabled(job.grad), hooks_aside(model), model.hooks(specs), model.recording(taps) as seen:
            ids = _inputs(model, (), [Row(job.prefix, ())], len(job.prefix))[0]
            self.cache = model.backend.prefix(ids)
        self.keys = {layer: keys for (_, layer), keys in seen.items()}


def prefix_layout(job: Job) -> Layout:
    """The layout of a pass over the prefix alone."""
    return Layout(
        len(job.prefix), (0,), (-1,), ids_of(job.prefix), ((),), (None,), roles=job.roles, prefix_table=job.prefix_roles
    )


def rows_layout(job: Job, index: Sequence[int], cached: bool) -> Layout:
    """The layout of a pass over some of the rows, behind the prefix or with it."""
    rows = [job.rows[n] for n in index]
    return Layout(
        len(job.prefix),
        tuple(len(row.tokens) for row in rows),
        tuple(index),
        ids_of(job.prefix),
        tuple(ids_of(row.tokens) for row in rows),
        tuple(row.query for row in rows),
        cached,
        tuple(row.answer for row in rows),
        job.roles,
        tuple(row.roles for row in rows),
        job.prefix_roles,
    )


def hooked_chunks(model: ICLModel, job: Job, encoded: EncodedPrefix | None = None) -> Iterator[Chunk]:
    """States of all rows, shortest first; without `encoded`, prompts are run whole."""
    order = sorted(range(len(job.rows)), key=lambda n: len(job.rows[n].tokens))
    size = chunk_rows(model, len(job.prefix), job.longest - len(job.prefix) or 1)
    for start in range(0, len(order), size):
        with torch.set_grad_enabled(
            job.grad
        ):  # around the work, not around the yield: what the caller does is the caller's
            chunk = _run_chunk(model, job, tuple(order[start : start + size]), encoded)
        yield chunk


def _run_chunk(model: ICLModel, job: Job, index: tuple[int, ...], encoded: EncodedPrefix | None) -> Chunk:
    rows = [job.rows[n] for n in index]
    lengths = tuple(len(row.tokens) for row in rows)
    inputs = _inputs(model, () if encoded else job.prefix, rows, max(lengths))
    at = torch.tensor([row.at for row in rows], dtype=torch.long) + (0 if encoded else len(job.prefix))
    recorder = Recorder(model, job.sites, job.layers, at, encoded.keys if encoded else {})
    specs = specs_of(model, rows_layout(job, index, encoded is not None), job.interventions)
    positions = None
    if job.first_position is not None:
        own = torch.arange(max(lengths)) + job.first_position
        positions = torch.cat([torch.arange(len(job.prefix)), own]).expand(len(rows), -1).to(model.device)
    with hooks_aside(model), model.hooks([*specs, *recorder.specs()]):
        cache = model.backend.expand(encoded.cache, len(rows)) if encoded else None
        model.forward(inputs, cache=cache, positions=positions, unembed=False)
    return Chunk(index, recorder.stacked(), len(job.prefix), lengths, tuple(job.layers))


def embedded(model: ICLModel, tokens: Tokens) -> Tensor:
    """Embeddings [position, d_model] of token ids, or what was given as such."""
    if isinstance(tokens, Tensor):
        return tokens.to(model.device, model.dtype)
    return model.backend.embed(torch.tensor([list(tokens)], device=model.device))[0]


def _inputs(model: ICLModel, prefix: Tokens, rows: Sequence[Row], longest: int) -> Tensor:
    """Rows behind the prefix, padded on the right: ids, or embeddings if any of it is given as such."""
    before = ids_of(prefix)
    if before is not None and not any(isinstance(row.tokens, Tensor) for row in rows):
        pad = before[0] if before else 0
        ids: list[list[int]] = [[*before, *row.tokens, *[pad] * (longest - len(row.tokens))] for row in rows]  # type: ignore[misc]  # no tensor among them
        return torch.tensor(ids, device=model.device)
    head = embedded(model, prefix) if len(prefix) else None
    padded: list[Tensor] = []
    for row in rows:
        own = embedded(model, row.tokens)
        own = torch.nn.functional.pad(own, (0, 0, 0, longest - len(own)))
        padded.append(own if head is None else torch.cat([head, own]))
    return torch.stack(padded)
