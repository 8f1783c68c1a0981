"""Captures of any number of queries, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Unpack

from iclmech._base import CaptureError, track
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._activations import Activations
from ._capture import run_request
from ._positions import Position
from ._prompt_rows import Setting
from ._request import DEFAULT_SITES, CaptureOptions, Request


def iter_capture(
    model: ICLModel,
    prompts: PromptSet,
    setting: Setting = "icl",
    sites: Sequence[str] = DEFAULT_SITES,
    position: Position = "prediction",
    *,
    size: int = 256,
    progress: bool = False,
    **options: Unpack[CaptureOptions],
) -> Iterator[Activations]:
    """`capture`, `size` queries at a time: reduce each part and drop it, and memory does not grow with the queries.

    The queries come context by context, so that every context is encoded once. `part.meta["queries"]` holds the index in
    `prompts.queries` of each row. The other parameters are those of `capture`, and so are the shapes: the key axis is as
    wide as all queries need. The weights must stay as they are until the last part is there.

    Yields:
        `Activations` of one part after the other.

    Raises:
        CaptureError: as `capture` does, and for a `size` below 1.
    """
    if size < 1:
        raise CaptureError(f"got size={size}; expected at least 1 query at a time.")
    request = Request.checked(model, setting, sites, position, options)
    order = sorted(range(len(prompts.queries)), key=lambda j: prompts.queries[j].context)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    keys, session = request.keys(prompts), request.session(model, prompts)
    with model.reading():
        applied = model.applied
    for part in track(parts, f"capturing {setting}", enabled=progress):
        some = replace(prompts, queries=[prompts.queries[j] for j in part])
        with model.reading():
            if model.applied != applied:
                raise CaptureError("a weight update came into force, or went, between two parts of one capture.")
            acts = run_request(model, some, request, session, keys=keys, numbers=part)
        yield replace(acts, meta={**acts.meta, "queries": part})
