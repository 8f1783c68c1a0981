"""The core of every capture: rows that share a prefix, through the model in chunks, reduced to recorded positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from iclmech.interventions import Intervention, Layout, specs_of
from iclmech.models import ICLModel

from ._paths import Job, choose, fast_twin
from ._recorder import Recorder, prefix_key_specs
from ._run_rows import Chunk, Path, Row, check_rows
from ._twin_run import FastRun, fast_chunks

_BUDGET = 256 * 2**20  # bytes of keys, values and attention that one chunk may take


def iter_run(
    model: ICLModel,
    prefix: Sequence[int],
    rows: Sequence[Row],
    sites: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] = (),
    path: Path = "auto",
    first_position: int | None = None,
    grad: bool = False,
    encoded: dict[tuple[int, ...], FastRun] | None = None,
) -> Iterator[Chunk]:
    """Run rows that follow one prefix and yield their states, chunk by chunk, so that memory does not grow with the rows.

    Parameters
    ----------
    prefix: token ids that stand before every row (at least one).
    rows: what follows, of any lengths; all recorded at equally many positions.
    sites: names of `iclmech.captures.SITES`.
    layers: all of them by default.
    interventions: applied to every pass; the prompts are then run whole, except under cuts of attention edges that act
        on the prefix and on the rows apart.
    path: "fast" runs a plain transformers twin of the model, "cached" encodes the prefix once and runs the hooked model,
        "uncached" runs the hooked model on whole prompts. "auto" takes the first of them that is possible: neither
        interventions nor hooks of the user are ever gone around, and a twin or a cache that a self-check found wrong is not
        used. They agree to rounding.
    first_position: position id of each row's first token; its place in the prompt by default.
    grad: keep the graph.
    encoded: prefixes encoded on the fast path, to be shared by calls at unchanged weights.

    Raises `CaptureError` where rows do not fit the window or the path asked for is not possible.
    """
    check_rows(model, prefix, rows)
    layers = range(model.shape.n_layers) if layers is None else layers
    way = choose(model, Job(prefix, rows, sites, interventions, first_position, grad), path)
    if way == "fast":
        yield from _iter_fast(model, prefix, rows, sites, layers, first_position, {} if encoded is None else encoded)
        return
    order = sorted(range(len(rows)), key=lambda n: len(rows[n].tokens))
    with torch.set_grad_enabled(grad):
        scores = "attn_scores" in sites
        state = _Prefix(model, prefix, layers, scores, interventions) if way == "cached" else None
    size = chunk_rows(model, len(prefix), max((len(row.tokens) for row in rows), default=1))
    for start in range(0, len(order), size):
        index = tuple(order[start : start + size])
        mine = [rows[n] for n in index]
        with torch.set_grad_enabled(
            grad
        ):  # around the work, not around the yield: what the caller does is the caller's
            chunk = _run_chunk(model, prefix, mine, index, sites, layers, interventions, state, first_position)
        yield chunk


def _iter_fast(
    model: ICLModel,
    prefix: Sequence[int],
    rows: Sequence[Row],
    sites: Sequence[str],
    layers: Sequence[int],
    first_position: int | None,
    encoded: dict[tuple[int, ...], FastRun],
) -> Iterator[Chunk]:
    key = tuple(prefix)
    if rows and (key not in encoded or encoded[key].top < max(layers)):
        encoded.clear()  # one at a time: another context comes only when this one is done
        with torch.no_grad():
            encoded[key] = FastRun(model, fast_twin(model), prefix, layers)
    for index in fast_chunks(rows, model.device):
        mine = [rows[n] for n in index]
        at = torch.tensor([row.at for row in mine], dtype=torch.long)
        with torch.no_grad():
            values = encoded[key].run([row.tokens for row in mine], at, sites, first_position, layers)  # type: ignore[misc]  # ids, as chosen
        yield Chunk(index, values, len(prefix), tuple(len(row.tokens) for row in mine))


def chunk_rows(model: ICLModel, prefix: int, own: int) -> int:
    """How many rows go through the model together: what fits the chunk's budget, at least one, at most 64."""
    s = model.shape
    keys = 2 * s.n_layers * s.n_kv_heads * s.d_head * (prefix + own)
    attention = 4 * s.n_heads * own * (prefix + own)
    states = 16 * own * s.d_model
    return max(1, min(64, _BUDGET // (4 * (keys + attention + states))))


class _Prefix:
    """A prefix encoded once, and its keys where scores are computed from them."""

    def __init__(
        self,
        model: ICLModel,
        tokens: Sequence[int],
        layers: Sequence[int],
        scores: bool,
        interventions: Sequence[Intervention],
    ):
        self.keys: dict[int, Tensor] = {}
        ids = torch.tensor(list(tokens), device=model.device)
        layout = Layout(len(tokens), (0,), (-1,), tuple(tokens), ((),), (None,))
        specs = specs_of(model, layout, interventions)
        with model.hooks([*specs, *(prefix_key_specs(model, layers, self.keys) if scores else [])]):
            self.cache = model.backend.prefix(ids)


def _run_chunk(
    model: ICLModel,
    prefix: Sequence[int],
    rows: Sequence[Row],
    index: tuple[int, ...],
    sites: Sequence[str],
    layers: Sequence[int],
    interventions: Sequence[Intervention],
    state: _Prefix | None,
    first_position: int | None,
) -> Chunk:
    lengths = tuple(len(row.tokens) for row in rows)
    inputs = _inputs(model, () if state else prefix, rows, max(lengths))
    offset = 0 if state else len(prefix)
    at = torch.tensor([row.at for row in rows], dtype=torch.long) + offset
    recorder = Recorder(model, sites, layers, at, state.keys if state else {})
    ids = tuple(None if torch.is_tensor(row.tokens) else tuple(row.tokens) for row in rows)
    queries = tuple(row.query for row in rows)
    layout = Layout(len(prefix), lengths, index, tuple(prefix), ids, queries, cached=state is not None)
    specs = specs_of(model, layout, interventions)
    positions = None
    if first_position is not None:
        own = torch.arange(max(lengths)) + first_position
        positions = torch.cat([torch.arange(len(prefix)), own]).expand(len(rows), -1).to(model.device)
    with model.hooks([*specs, *recorder.specs()]):  # type: ignore[list-item]  # hooks are functions of a tensor
        cache = model.backend.expand(state.cache, len(rows)) if state else None
        model.forward(inputs, cache=cache, positions=positions, unembed=False)
    return Chunk(index, recorder.stacked(), len(prefix), lengths)


def _inputs(model: ICLModel, prefix: Sequence[int], rows: Sequence[Row], longest: int) -> Tensor:
    """Rows behind the prefix, padded on the right: ids, or embeddings if any row is given as such."""
    if not any(torch.is_tensor(row.tokens) for row in rows):
        pad = prefix[0] if prefix else 0
        ids: list[list[int]] = [[*prefix, *row.tokens, *[pad] * (longest - len(row.tokens))] for row in rows]  # type: ignore[misc]
        return torch.tensor(ids, device=model.device)
    head = model.backend.embed(torch.tensor([list(prefix)], device=model.device))[0] if prefix else None
    padded: list[Tensor] = []
    for row in rows:
        own = (
            row.tokens
            if torch.is_tensor(row.tokens)
            else model.backend.embed(torch.tensor([row.tokens], device=model.device))[0]
        )
        own = torch.nn.functional.pad(own.to(model.device, model.dtype), (0, 0, 0, longest - len(own)))
        padded.append(own if head is None else torch.cat([head, own]))
    return torch.stack(padded)
