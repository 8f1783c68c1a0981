"""The core of every capture: rows that share a prefix, through the model in chunks, reduced to recorded positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.interventions import Intervention, Layout, all_split, specs_of
from iclmech.models import ICLModel

from ._record import Recorder, prefix_key_specs

Path = Literal["auto", "cached", "uncached"]
_BUDGET = 256 * 2**20  # bytes of keys, values and attention that one chunk may take


@dataclass(frozen=True)
class Row:
    """One row after the prefix: token ids or embeddings, and the positions in it (own indices) that are recorded.

    `query`: which query of the prompt set it is, where it is one (interventions ask for it).
    """

    tokens: Sequence[int] | Float[Tensor, "position d_model"]
    at: tuple[int, ...]
    query: int | None = None


@dataclass(frozen=True)
class Chunk:
    """States of some rows at their recorded positions.

    `index`: which rows. `values`: [row, at, layer, ...], attention [row, at, layer, head, key] over prefix + own tokens.
    `prefix`: number of keys that belong to the prefix. `lengths`: own tokens of each row (keys beyond them are padding).
    """

    index: tuple[int, ...]
    values: dict[str, Tensor]
    prefix: int
    lengths: tuple[int, ...]


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
) -> Iterator[Chunk]:
    """Run rows that follow one prefix and yield their states, chunk by chunk, so that memory does not grow with the rows.

    Parameters
    ----------
    prefix: token ids that stand before every row (at least one).
    rows: what follows, of any lengths; all recorded at equally many positions.
    sites: names of `iclmech.capture.SITES`.
    layers: all of them by default.
    interventions: applied to every pass; the prompts are then run whole, except under cuts of attention edges that act
        on the prefix and on the rows apart.
    path: "cached" encodes the prefix once, "uncached" runs prompts whole; "auto" caches where the self-check found it
        right, the prefix is worth it, and neither interventions nor hooks of the user are in the way.
    first_position: position id of each row's first token; its place in the prompt by default.
    grad: keep the graph.

    Raises `CaptureError` where rows do not fit the window or the path asked for does not exist.
    """
    _check_rows(model, prefix, rows)
    layers = range(model.shape.n_layers) if layers is None else layers
    cached = _use_cache(model, prefix, rows, interventions, path, first_position)
    order = sorted(range(len(rows)), key=lambda n: len(rows[n].tokens))
    with torch.set_grad_enabled(grad):
        state = _Prefix(model, prefix, layers, "attn_scores" in sites, interventions) if cached else None
        size = chunk_rows(model, len(prefix), max((len(row.tokens) for row in rows), default=1))
        for start in range(0, len(order), size):
            index = tuple(order[start : start + size])
            yield _run_chunk(
                model, prefix, [rows[n] for n in index], index, sites, layers, interventions, state, first_position
            )


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


def _check_rows(model: ICLModel, prefix: Sequence[int], rows: Sequence[Row]) -> None:
    if not prefix:
        raise CaptureError("the prefix is empty; a prompt starts with BOS at least.")
    longest = max((len(row.tokens) for row in rows), default=0)
    if len(prefix) + longest > model.shape.n_ctx:
        raise CaptureError(
            f"a prompt of {len(prefix)} + {longest} tokens does not fit the window of {model.shape.n_ctx} of {model.name}. "
            "Build the prompts for this model with iclmech.build_prompts, or ask for fewer demonstrations."
        )
    for number, row in enumerate(rows):
        if any(not 0 <= at < len(row.tokens) for at in row.at):
            raise CaptureError(f"row {number} is recorded at {row.at} but has {len(row.tokens)} tokens.")


def _use_cache(
    model: ICLModel,
    prefix: Sequence[int],
    rows: Sequence[Row],
    interventions: Sequence[Intervention],
    path: Path,
    first: int | None,
) -> bool:
    if path not in ("auto", "cached", "uncached"):
        raise CaptureError(f"got path={path!r}; expected 'auto', 'cached' or 'uncached'.")
    in_the_way = "" if all_split(model, interventions) else "interventions are placed"
    in_the_way = in_the_way or ("positions are shifted" if first is not None else "")
    in_the_way = in_the_way or (
        "" if model.capabilities.cache else "the self-check found no cache that is right on this model"
    )
    in_the_way = in_the_way or ("the model carries hooks of its user" if _user_hooks(model) else "")
    if path == "cached" and in_the_way:
        raise CaptureError(f"path='cached' is not possible: {in_the_way}. Use path='auto'.")
    return path == "cached" or (path == "auto" and not in_the_way and len(prefix) > 1 and len(rows) > 1)


def _user_hooks(model: ICLModel) -> bool:
    return any(getattr(point, "fwd_hooks", None) for point in model.hooked.hook_dict.values())
