"""A sweep spelled out: every cell with its request and its address, as it stands in files."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from iclmech._base import REGISTRIES, FileError, atomic_write, digest, from_ascii_json, to_ascii_json
from iclmech.experiments import Experiment, Request
from iclmech.experiments._request import spell

from ._axes import Axis, SweepError, axes_of, plain

SWEEP, CELL = "sweep.json", "cell.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Cell:
    """One point of the grid.

    Attributes:
        address: 16 hex digits of request, model and task; the name of its directory.
        at: its position on every axis.
        request: what is run.
        name: its values on the axes, in words.
    """

    address: str
    at: tuple[int, ...]
    request: Request
    name: str


@dataclass(frozen=True)
class Plan:
    """A sweep: an experiment, axes, what is the same in all cells, and the cells, the last axis running fastest."""

    experiment: str
    axes: tuple[Axis, ...]
    fixed: Mapping[str, Any]
    cells: tuple[Cell, ...]

    @cached_property
    def runs(self) -> Experiment:
        """The experiment."""
        return REGISTRIES["experiment"][self.experiment]

    @property
    def shape(self) -> tuple[int, ...]:
        """Positions along every axis."""
        return tuple(len(axis.values) for axis in self.axes)


def make_plan(experiment: str, axes: Mapping[Any, Any], fixed: Mapping[str, Any]) -> Plan:
    """Check and spell out a sweep.

    Raises:
        SweepError: fields or values that the experiment's request does not have, or one twice.
        RegistryError: no such experiment. ModelError, TaskError: no such model, no such task.
    """
    kind = REGISTRIES["experiment"][experiment].request
    made = axes_of(kind, axes)
    same = {name: plain(kind, name, value) for name, value in fixed.items()}
    both = sorted(set(same) & {f for axis in made for f in axis.fields})
    if both:
        raise SweepError(f"got {', '.join(both)} as an axis and as a keyword; expected one of the two.")
    cells = []
    for at in itertools.product(*(range(len(axis.values)) for axis in made)):
        own = {f: v for axis, n in zip(made, at, strict=True) for f, v in zip(axis.fields, axis.values[n], strict=True)}
        request = kind(**{**same, **own})
        if request.objects:
            raise SweepError(
                f"{', '.join(request.objects)} stands for an object; give it a name with iclmech.register."
            )
        name = ", ".join(f"{f}={'none' if v is None else spell(v)}" for f, v in own.items())
        cells.append(Cell(_address(experiment, request), at, request, name or experiment))
    return Plan(experiment, made, same, tuple(cells))


def _address(experiment: str, request: Request) -> str:
    """What a cell's numbers depend on: the request, the weights and the texts behind its names."""
    from iclmech.models import model_identity

    needs, known = REGISTRIES["experiment"][experiment].needs, {f.name for f in fields(request)}
    model = model_identity(request.model) if "model" in needs and "model" in known else ""  # type: ignore[attr-defined]  # asked just before
    named = [(name, data) for name, data in (("task", "data"), ("wrong_task", "wrong_data")) if name in known]
    tasks = [_task_hash(getattr(request, name), getattr(request, data, None)) for name, data in named]
    return digest(experiment, request.record(), model, tasks)


_hashes: dict[tuple[str, str | None], str] = {}


def _task_hash(name: str | None, data: str | None) -> str:
    from iclmech.tasks import load_task

    if name is None:
        return ""
    if (name, data) not in _hashes or Path(name).exists():
        _hashes[name, data] = load_task(name, data=data).hash
    return _hashes[name, data]


# -- files --------------------------------------------------------------------------------------------------------


def write_plan(plan: Plan, directory: Path) -> None:
    """Every cell as JSON in a directory of its own, then the sweep.

    Raises:
        FileError: another experiment's sweep stands here.
    """
    if (directory / SWEEP).is_file() and (found := read_plan(directory).experiment) != plan.experiment:
        raise FileError(f"{directory} holds a sweep of {found}; expected {plan.experiment}. Choose another directory.")
    for cell in plan.cells:
        path = directory / "cells" / cell.address / CELL
        if not path.is_file():
            _write(path, {"experiment": plan.experiment, "request": cell.request.record()})
    axes = [{"fields": list(axis.fields), "values": [list(at) for at in axis.values]} for axis in plan.axes]
    cells = [{"address": cell.address, "name": cell.name} for cell in plan.cells]
    content = {"kind": "iclmech sweep", "schema": _SCHEMA, "experiment": plan.experiment, "axes": axes}
    _write(directory / SWEEP, {**content, "fixed": dict(plan.fixed), "cells": cells})


def read_plan(directory: Path) -> Plan:
    """The sweep in a directory.

    Raises:
        FileError: none there, or a damaged or newer one.
    """
    content = read_json(directory / SWEEP)
    if content.get("kind") != "iclmech sweep" or int(content.get("schema", _SCHEMA + 1)) > _SCHEMA:
        raise FileError(
            f"{directory / SWEEP} is no sweep that this version of iclmech reads; update iclmech, or name its directory."
        )
    kind = REGISTRIES["experiment"][content["experiment"]].request

    def values(axis: Mapping[str, Any]) -> tuple[tuple[Any, ...], ...]:
        return tuple(tuple(plain(kind, f, v) for f, v in zip(axis["fields"], at, strict=True)) for at in axis["values"])

    try:
        axes = tuple(Axis(tuple(axis["fields"]), values(axis)) for axis in content["axes"])
        fixed = {name: plain(kind, name, value) for name, value in content["fixed"].items()}
        places = itertools.product(*(range(len(axis.values)) for axis in axes))
        cells = tuple(
            Cell(one["address"], at, read_request(directory, one["address"], kind), one["name"])
            for one, at in zip(content["cells"], places, strict=True)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{directory / SWEEP} is damaged ({error}); run the sweep again, finished cells are kept."
        ) from error
    return Plan(content["experiment"], axes, fixed, cells)


def read_request(directory: Path, address: str, kind: type[Request]) -> Request:
    """The request of a cell."""
    return kind.from_record(read_json(directory / "cells" / address / CELL)["request"])


def read_json(path: Path) -> dict[str, Any]:
    """An object in a file.

    Raises:
        FileError: no such file, or not an object.
    """
    try:
        content = from_ascii_json(path.read_text(encoding="utf-8"))
    except OSError:
        raise FileError(f"{path} is not a file; expected what iclmech.sweep wrote.") from None
    except ValueError as error:
        raise FileError(f"{path} is damaged ({error}); run the sweep again, finished cells are kept.") from error
    if not isinstance(content, dict):
        raise FileError(f"{path} holds a {type(content).__name__}; expected what iclmech.sweep wrote.")
    return content


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(to_ascii_json(content), encoding="utf-8")
