"""The command line that repeats a run, from the request in a result's provenance."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from iclmech._base import Result

from ._request import ExperimentError, Request, spell

ALWAYS = ("model", "task", "k", "n_queries", "updates", "seeds")
"""Fields that a command names even where they have their usual values."""


def request_of(result: Result) -> Request | None:
    """What a result was asked, or None where that is not known."""
    experiment = result.experiment
    record: Mapping[str, Any] | None = result.provenance.get("request")
    if experiment is None or record is None:
        return None
    try:
        return experiment.request.from_record(record)
    except (ExperimentError, TypeError):
        return None


def command_of(result: Result, out: str = "runs/again") -> str | None:
    """The command that repeats a run; None where a part of it exists in Python only.

    >>> import iclmech as icl
    >>> command_of(icl.training_history())
    'iclmech training-history --out runs/again'
    """
    request = request_of(result)
    if request is None or request.objects:
        return None
    words: list[str] = []
    for f in fields(request):
        value = getattr(request, f.name)
        if value is None or (value == f.default and f.name not in (*ALWAYS, *request.positional)):
            continue
        if f.name in request.positional:
            words.insert(0, shlex.quote(spell(value)))
            continue
        flag = f.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", shlex.quote(spell(value))]
    return " ".join(["iclmech", result.kind, *words, "--out", shlex.quote(out)])
