"""Captures of any number of queries, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from iclmech._base import CaptureError, track
from iclmech.interventions import Intervention
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._activations import Activations
from ._capture import Options, capture_part, keys_of
from ._prompt_rows import Position, Setting
from ._run_rows import Path
from ._twin_run import FastRun


def iter_capture(
    model: ICLModel,
    prompts: PromptSet,
    setting: Setting = "icl",
    sites: Sequence[str] = ("attn_out", "resid_post", "attn_scores"),
    position: Position = "prediction",
    *,
    size: int = 256,
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] = (),
    match_positions: bool = False,
    path: Path = "auto",
    progress: bool = False,
) -> Iterator[Activations]:
    """`capture`, `size` queries at a time: reduce each part and drop it, and memory does not grow with the queries.

    The queries come context by context, so that every context is encoded once. `part.meta["queries"]` holds the index in
    `prompts.queries` of each row. The other parameters are those of `capture`, and so are the shapes: the key axis is as
    wide as all queries need. The weights must stay as they are until the last part is there.

    Yields `Activations`. Raises `CaptureError` as `capture` does, and for a `size` below 1.
    """
    if size < 1:
        raise CaptureError(f"got size={size}; expected at least 1 query at a time.")
    options = Options.checked(model, setting, sites, position, layers, interventions, match_positions, path)
    order = sorted(range(len(prompts.queries)), key=lambda j: prompts.queries[j].context)
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    keys = keys_of(prompts, position)
    encoded: dict[tuple[int, ...], FastRun] = {}
    applied = model.applied
    for part in track(parts, f"capturing {setting}", enabled=progress):
        if model.applied != applied:
            raise CaptureError("a weight update came into force, or went, between two parts of one capture.")
        some = replace(prompts, queries=[prompts.queries[j] for j in part])
        acts = capture_part(model, some, options, keys, numbers=part, encoded=encoded)
        yield replace(acts, meta={**acts.meta, "queries": part})
