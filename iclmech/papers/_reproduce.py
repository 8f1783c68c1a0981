"""`reproduce`: the claims of a paper, asked by calling experiments; nothing is measured here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclmech._base import REGISTRIES, Cells, ICLMechError, RegistryError, Result, provenance, track
from iclmech.experiments import ExperimentError, Given, command_of

from ._paper import NAN, Asking, Paper, Reading
from ._reproduction import Reproduction
from ._request import REPRODUCE, ReproduceRequest
from ._verdicts import judged

if TYPE_CHECKING:
    from iclmech.models import ICLModel


def list_papers() -> list[str]:
    """Names of the papers whose claims can be asked, those of plug-ins included.

    >>> "dai2023" in list_papers()
    True
    """
    return REGISTRIES["paper"].names()


def reproduce(
    name: str,
    model: ICLModel | str | None = None,
    quick: bool = False,
    *,
    task: str | None = None,
    data: str | None = None,
    device: str | None = None,
    progress: bool = False,
    out: str | Path | None = None,
) -> Reproduction:
    """Ask the claims of a paper: run the experiments behind them, and judge each by the rule that stands in the paper's file.

    Args:
        name: of a paper, one of `list_papers()`.
        model: what is asked, or its name; by default the paper's choice (icl-mini, a shipped learner of functions). Papers
            on how in-context learning forms train nets of their own and take no model.
        quick: at most 25 CPU-seconds: few queries, short trainings. With fewer than three seeds the verdict reads
            "quick: no claim".
        task, data: a task in the place of the paper's own choice, and its records: a name, or a directory.
        device: where the model computes.
        progress: show a bar on standard error.
        out: a directory in which what is finished is kept.

    Returns:
        A `Reproduction`: `claims()` has one row per claim.

    Raises:
        RegistryError: no such paper.
        ExperimentError: a model for a paper that takes none.

    Example:
        >>> import iclmech as icl
        >>> icl.reproduce("rep2023", quick=True).claims()["verdict"].tolist()
        ['not applicable', 'not applicable']
    """
    given = Given()
    request = ReproduceRequest(
        name=name, model=given.name("model", model, by="name"), task=task, data=data, quick=quick, device=device
    )
    return REPRODUCE.run(request, progress=progress, out=out, **given.inputs)  # type: ignore[return-value]  # a Reproduction


def run_paper(
    request: ReproduceRequest, *, progress: bool, model: Any = None, cells: Cells | None = None
) -> Reproduction:
    """Call the experiments of a paper, read off its numbers, judge them."""
    paper: Paper = REGISTRIES["paper"][request.name]
    if request.model and not paper.model:
        raise ExperimentError(
            f"got model={request.model!r}; {paper.name} is asked of small nets of its own, so leave the model out."
        )
    asking = Asking(request.model or paper.model, request.quick, model, request)
    kept, found = cells or Cells(), {}
    live: dict[str, Any] = {}
    used = [name for name in paper.runs if any(claim.run == name for claim in paper.claims)]
    if used and asking.name:
        asking.model  # noqa: B018 - a model that cannot be loaded is an error, not a refusal
    for name in track(used, paper.name, enabled=progress):
        found[name] = kept.once(f"run {name}", partial(_asked, paper, name, asking, live))
    readings = [_reading(found, claim.run, n) for n, claim in enumerate(paper.claims)]
    claims = judged(paper.claims, readings, request.quick)
    seconds = [float(found[c.run]["seconds"]) if c.run else 0.0 for c in paper.claims]
    origin = provenance(
        paper=_about(paper), task={"name": f"the claims of {paper.name}"}, quick=request.quick,
        runs={name: {"command": f["command"], "seconds": f["seconds"]} for name, f in found.items()},
        notes=[note for f in found.values() for note in f["notes"]],
        **({"model": {"name": asking.name}} if asking.name else {}),
    )  # fmt: skip
    return Reproduction.of(claims, seconds, origin).keep(live)


def _about(paper: Paper) -> dict[str, Any]:
    return {f: getattr(paper, f) for f in ("name", "title", "authors", "year", "arxiv", "about")}


def _asked(paper: Paper, name: str, asking: Asking, live: dict[str, Any]) -> dict[str, Any]:
    """One run: the readings of its claims by their number, its CPU-seconds, its command, its notes."""
    begun = time.process_time()
    mine = {str(n): claim.read for n, claim in enumerate(paper.claims) if claim.run == name and claim.read is not None}
    try:
        result = live[name] = paper.runs[name](asking)
    except RegistryError:  # a paper that names what is not there is a mistake, not a refusal
        raise
    except ICLMechError as error:  # the model or the task at hand is none for this experiment, which says why
        return {"readings": {n: asdict(Reading(NAN, why_not=str(error))) for n in mine}, **_took(begun)}
    readings = {n: asdict(read(result)) for n, read in mine.items()}
    parts: Mapping[str, Any] = result if isinstance(result, Mapping) else {"": result}
    made = [part for part in parts.values() if isinstance(part, Result)]
    commands = "; ".join(filter(None, map(command_of, made)))
    return {"readings": readings, **_took(begun, commands, list(dict.fromkeys(n for part in made for n in part.notes)))}


def _took(begun: float, command: str = "", notes: Sequence[str] = ()) -> dict[str, Any]:
    return {"seconds": time.process_time() - begun, "command": command, "notes": list(notes)}


def _reading(found: Mapping[str, Any], run: str, number: int) -> Reading | None:
    if not run:
        return None
    return replace(Reading(NAN), **found[run]["readings"][str(number)])
