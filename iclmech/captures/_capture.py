"""`capture`: states and predictions of every query, zero-shot or behind its demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from iclmech._base import CaptureError, track
from iclmech.models import ICLModel, model_of
from iclmech.tasks import PromptSet, Task

from ._activations import Activations
from ._collector import StateCollector, dims_of, recorded_sites
from ._demonstrations import capture_demonstrations
from ._label_scores import LabelScores
from ._long_rows import RowPrompts, capture_long_rows
from ._positions import Places, Position
from ._prompt_rows import Setting, plan
from ._request import DEFAULT_SITES, CaptureOptions, Request, setting_name
from ._session import Session


def capture(
    model: ICLModel | str,
    prompts: PromptSet | RowPrompts,
    setting: Setting = "icl",
    sites: Sequence[str] = DEFAULT_SITES,
    position: Position = "prediction",
    *,
    progress: bool = False,
    **options: Unpack[CaptureOptions],
) -> Activations:
    """Run every query and bring back states at one position of each, and the scores of the label words.

    Args:
        model: with whatever updates are in force, or the name of one.
        prompts: a prompt set, or prompts that are one long row each (`iclmech.functions`): of these every prefix is
            asked in one pass, and states have an axis "position" over the places where answers are read off.
        setting: "icl", behind the query's demonstrations; "zs", behind BOS alone. Under an update in force
            (`with update.applied(model)`), "zs" is the fine-tuned setting and is recorded as "ft:<hash>".
        sites: any of `iclmech.captures.SITES`, and "context_scores", "context_pattern", "logits" on request.
        position: "prediction", the token before the label; "label", the first token of the first label word, appended to
            every query (the key axis is one longer); or a function of (query, context) that returns an index into the
            query's tokens. With an axis "position" more: "forerunners" or "labels", every demonstration's; a role
            (`iclmech.interventions.ROLE_NAMES`), all its tokens; or a sequence of these; NaN on the right where a prompt
            has fewer. "mean:<role>": the mean over a role's tokens.
        progress: show a bar.
        **options: `layers`, all by default. `interventions`, changes to the pass (`iclmech.interventions`), which are
            told the prompts. `match_positions`: give a zero-shot query the position ids that it has behind its
            demonstrations. `path`: "auto", or "fast" (a plain twin of the model, demonstrations encoded once), "cached" (the
            hooked model, demonstrations encoded once) or "uncached" (prompts run whole); they agree to rounding, and "auto"
            takes the first that a self-check found right and that goes around no hook (see `iter_run`).

    Returns:
        `Activations`; memory beyond them does not grow with the number of queries.

    Raises:
        CaptureError: for unknown settings, sites or positions, or prompts that do not fit the window.

    Source: what is recorded follows Deutch et al. (NAACL 2024), section 3, and Dai et al. (arXiv 2212.10559).
    """
    model = model_of(model)
    if isinstance(prompts, Task | str):
        raise CaptureError(
            f"got the task {getattr(prompts, 'name', prompts)!r}; capture takes prompts: icl.build_prompts(model, task, k=..., n_queries=...)."
        )
    if not isinstance(prompts, PromptSet):
        return capture_long_rows(model, prompts, setting, sites, position, progress, options)
    request = Request.checked(model, setting, sites, position, options)
    return run_request(model, prompts, request, request.session(model, prompts), progress=progress)


def run_request(
    model: ICLModel,
    prompts: PromptSet,
    request: Request,
    session: Session,
    *,
    keys: int | None = None,
    numbers: Sequence[int] | None = None,
    progress: bool = False,
) -> Activations:
    """Plan, run, reduce. `keys`: width of the axis of own keys; `numbers`: what each query is called in a larger set."""
    with model.reading():
        if not request.places.of_demonstrations:
            return _run(model, prompts, request, session, keys, numbers, progress)
        alone = replace(request, names=(), places=Places.checked("prediction"))
        acts = _run(model, prompts, alone, session, keys, numbers, progress)
        data, dims = capture_demonstrations(model, prompts, request)
        return replace(acts, data=data, dims=dims, meta=describe(model, prompts, request))


def _run(
    model: ICLModel,
    prompts: PromptSet,
    request: Request,
    session: Session,
    keys: int | None,
    numbers: Sequence[int] | None,
    progress: bool,
) -> Activations:
    batches = plan(prompts, request.setting, request.places, request.match_positions, numbers)
    sizes = {
        "query": len(prompts.queries),
        "key": request.keys(prompts) if keys is None else keys,
        "context": max((len(batch.prefix) for batch in batches), default=0),
        "position": max((n for batch in batches for n in batch.places), default=0),
    }
    states = StateCollector(model, request.names, request.layers, request.places, sizes)
    labels = LabelScores(model, prompts)
    last = model.shape.n_layers - 1
    sites = tuple(dict.fromkeys((*recorded_sites(request.names), "resid_post")))
    layers = tuple(dict.fromkeys((*request.layers, last)))
    for batch in track(batches, f"capturing {request.setting}", enabled=progress):
        asked = (("resid_post",), (last,)) if batch.answers else (sites, layers)
        for chunk in session.run(batch.prefix, batch.rows, *asked, first_position=batch.first_position):
            states.add(chunk, batch)
            labels.add(chunk, batch)
    scores, dims = labels.finish(), {name: dims_of(name, request.places.axis) for name in states.data}
    name, meta = setting_name(model, request.setting), describe(model, prompts, request)
    return Activations(states.data, dims, scores.labels, scores.targets, name, request.layers, meta, scores.ranks)


def describe(model: ICLModel, prompts: PromptSet, request: Request) -> dict[str, Any]:
    """What a capture says about itself, JSON-serialisable."""
    return {
        "model": model.name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "task": prompts.task,
        "k": prompts.k,
        "position": str(request.places),
        "match_positions": request.match_positions,
        "contexts": [query.context for query in prompts.queries],
        "labels": [query.label for query in prompts.queries],
    }
