"""States at the demonstrations: one pass per context, shared by its queries."""

from __future__ import annotations

import torch
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._collector import ATTENTION, dims_of, on_cpu, recorded_sites, with_positions
from ._request import Request
from ._run_rows import Path, Row
from ._session import Session


def capture_demonstrations(
    model: ICLModel, prompts: PromptSet, request: Request
) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """Arrays of every query's context, and the names of their axes.

    Raises `CaptureError` without demonstrations, or where the query's own keys are asked for.
    """
    places = request.places
    if request.setting != "icl" or prompts.k == 0:
        raise CaptureError(f"position={str(places)!r} reads the demonstrations; it needs setting='icl' and k > 0.")
    if {"attn_scores", "attn_pattern", "logits"} & set(request.names):
        raise CaptureError(
            f"with position={str(places)!r} ask for 'context_scores' or 'context_pattern'; the query's own keys lie ahead."
        )
    path: Path = "auto" if request.path in ("auto", "fast") else "uncached"
    session = Session(model, path, request.interventions, prompts=prompts)
    found: dict[str, list[Tensor]] = {name: [] for name in request.names}
    used = sorted({query.context for query in prompts.queries})
    for context in (prompts.contexts[c] for c in used):
        row = Row(context.tokens[1:], tuple(places.of_context(context)))
        (chunk,) = session.run(context.tokens[:1], [row], recorded_sites(request.names), request.layers)
        for name in request.names:
            value = on_cpu(chunk.values[ATTENTION.get(name, name)][0])
            found[name].append(with_positions(name, value, places, len(row.at)))
    owner = torch.tensor([used.index(query.context) for query in prompts.queries])
    dims = {name: dims_of(name, places.axis) for name in request.names}
    return {name: _stacked(values, dims[name])[owner] for name, values in found.items()}, dims


def _stacked(values: list[Tensor], dims: tuple[str, ...]) -> Tensor:
    """One array of all contexts; axes that differ in length between them are padded with NaN on the right."""
    ragged = {"position", "context"}
    for axis in range(-1, -len(dims), -1):
        if dims[axis] in ragged:
            longest = max(value.shape[axis] for value in values)
            pad = [(0, 0)] * (-axis - 1)
            values = [
                torch.nn.functional.pad(
                    v, [n for p in (*pad, (0, longest - v.shape[axis])) for n in p], value=torch.nan
                )
                for v in values
            ]
    return torch.stack(values)
