"""Runs of a paper as data: which experiment is called, with which request when it has to be quick and when not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from iclmech._base import REGISTRIES, Result

from ._paper import Asking

Values = Mapping[str, Any]


def call(
    experiment: str, quick: Values | None = None, full: Values | None = None, **always: Any
) -> Callable[[Asking], Result]:
    """A run that calls one experiment, with the paper's model unless it names another.

    Args:
        experiment: its registered name.
        quick, full: fields of its request for a quick and for a full run.
        always: fields for both. A function among the values is asked with the `Asking`: `task_for`.
    """

    def run(asking: Asking) -> Result:
        record: Any = REGISTRIES["experiment"][experiment]
        known = {f.name for f in fields(record.request)}
        given = {**always, **((quick if asking.quick else full) or {})}
        values = {name: value(asking) if callable(value) else value for name, value in given.items()}
        inputs: dict[str, Any] = {}
        if asking.name and "model" in known and "model" not in values:
            values["model"], inputs["model"] = asking.name, asking.model
        values |= {name: getattr(asking, name) for name in ("device", "data") if name in known}
        return record.run(record.request(**values), progress=False, **inputs)

    return run


def each(
    field: str, quick: Any, full: Any, run: Callable[..., Callable[[Asking], Result]], /, *names: str, **more: Any
) -> Callable[[Asking], dict[str, Result]]:
    """One call for each value of a field; the results by value.

    Args:
        field: of the request: "task".
        quick, full: the values; a function is asked with the `Asking`.
        run: `call`.
        names: the experiment.
        more: what `call` takes besides.
    """

    def several(asking: Asking) -> dict[str, Result]:
        chosen: Any = asking.size(quick, full)
        chosen = chosen(asking) if callable(chosen) else chosen
        return {str(value): run(*names, **{**more, field: value})(asking) for value in chosen}

    return several


def task_for(mini: str, other: str) -> Callable[[Asking], str]:
    """A task that the model can read: of icl-mini's own words, or of English ones."""
    return lambda asking: asking.task(mini, other)
