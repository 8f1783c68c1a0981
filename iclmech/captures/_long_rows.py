"""Prompts that are one long row each, asked at many of its places: every prefix of a prompt is a prompt, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from iclmech._base import CaptureError, check_sites, track
from iclmech.models import ICLModel

from ._activations import Activations
from ._collector import dims_of, on_cpu
from ._request import CaptureOptions, check_layers, setting_name
from ._run_rows import Chunk, Row, Tokens
from ._session import Session

_ATTENTION = ("attn_scores", "attn_pattern")


@dataclass(frozen=True)
class LongRows:
    """Prompts as a model reads them.

    Attributes:
        prefix: what stands before each of them: BOS.
        rows: token ids or embeddings of each prompt; all of one length.
        places: by name, positions in a row: "queries", where an answer is read off after every number of examples, and
            others such as "values", and "last", the last of "queries".
    """

    prefix: list[int]
    rows: list[Any]
    places: Mapping[str, tuple[int, ...]]


@runtime_checkable
class RowPrompts(Protocol):
    """Prompts that know their rows: `capture` takes them like a `PromptSet`."""

    def long_rows(self, model: ICLModel) -> LongRows:
        """The prompts as this model reads them."""
        ...


def capture_long_rows(
    model: ICLModel,
    prompts: RowPrompts,
    setting: str,
    sites: Sequence[str],
    position: Any,
    progress: bool,
    options: CaptureOptions,
) -> Activations:
    """States of every prompt at all of its places, [query, layer, position, ...], and "logits" [query, position, d_vocab].

    "icl": behind all that stands before in the row; "zs": the token at the place alone behind BOS. Attention has an axis
    "context" as wide as BOS and the row, 0 where it is masked (in "zs": BOS and the token itself). A position that is one
    place ("last") has no axis.
    """
    found = prompts.long_rows(model)
    position = "queries" if position == "prediction" else position
    if setting not in ("icl", "zs") or position not in found.places or options.get("match_positions"):
        raise CaptureError(
            f"got setting={setting!r}, position={position!r}; expected 'icl' or 'zs', and one of {', '.join(found.places)} "
            "(without match_positions): these prompts are long rows, asked at many places at once."
        )
    names = check_sites(sites, also=("logits",))
    at = found.places[position]
    asked, last = check_layers(model, options.get("layers")), model.shape.n_layers - 1
    states = tuple(
        dict.fromkeys((*(n for n in names if n != "logits"), *(("resid_post",) if "logits" in names else ())))
    )
    layers = tuple(dict.fromkeys((*asked, last)))
    session = Session(model, options.get("path", "auto"), options.get("interventions", ()))
    kept: dict[str, list[tuple[int, Tensor]]] = {name: [] for name in names}
    chunks = session.run(found.prefix, list(_rows_of(found.rows, at, setting)), states, layers)
    for chunk in track(chunks, f"capturing {setting}", enabled=progress):
        for name in names:
            kept[name] += zip(chunk.index, _values(model, chunk, name, len(asked), layers.index(last)), strict=True)
    data = {name: _in_order(name, values, len(at), setting) for name, values in kept.items()}
    dims = {name: _dims(name) for name in names}
    if len(at) == 1:  # one place: no axis for it
        data = {name: value.squeeze(dims[name].index("position")) for name, value in data.items()}
        dims = {name: tuple(axis for axis in axes if axis != "position") for name, axes in dims.items()}
    n = len(found.rows)
    return Activations(
        data, dims, torch.zeros(n, 0), torch.full((n,), float("nan")), setting_name(model, setting), asked,
        {"model": model.name, "prompts": getattr(prompts, "hash", None), "position": position, "dtype": str(model.dtype).removeprefix("torch.")},
    )  # fmt: skip


def _rows_of(rows: Sequence[Tokens], at: Sequence[int], setting: str) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if setting == "icl":
            yield Row(row[: at[-1] + 1], tuple(at), number)
        else:
            yield from (Row(row[place : place + 1], (0,), number) for place in at)


def _values(model: ICLModel, chunk: Chunk, name: str, n_layers: int, last: int) -> Tensor:
    """[row, at, layer, ...] of a chunk; logits [row, at, d_vocab]."""
    if name == "logits":
        with torch.no_grad():
            return on_cpu(model.readout(chunk.values["resid_post"][:, :, last]))
    return on_cpu(chunk.values[name][:, :, :n_layers])


def _in_order(name: str, values: list[tuple[int, Tensor]], n_at: int, setting: str) -> Tensor:
    """Rows in their order, places beside each other, the axis of places where `_dims` has it."""
    rows = torch.stack([value for _, value in sorted(values, key=lambda one: one[0])])
    if setting != "icl":
        rows = rows.unflatten(0, (-1, n_at)).squeeze(2)
    if name == "logits":
        return rows
    return rows.permute(0, 2, 3, 1, 4) if name in _ATTENTION else rows.transpose(1, 2)


def _dims(name: str) -> tuple[str, ...]:
    if name == "logits":
        return ("query", "position", "d_vocab")
    if name in _ATTENTION:
        return ("query", "layer", "head", "position", "context")
    return dims_of(name, axis=True)
