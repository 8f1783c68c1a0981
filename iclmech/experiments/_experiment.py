"""An experiment: a name, what it can be asked, what it needs, and how it is run.

    request (plain values) ─┐
                            ├─► run ──► Result (kind = the experiment's name, the request in its provenance)
    inputs (objects) ───────┘   ▲
                                └── a model or a task that was not handed over is loaded by the name in the request

Command line, sweeps, files, figures and pages are made from this record; nothing else has to be told of an experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iclmech._base import REGISTRIES, Cells, Result, resolve

from ._content_hash import content_hash
from ._request import CUSTOM, ExperimentError, Request
from ._run import run_in


@dataclass(frozen=True)
class Experiment:
    """What is known of an experiment.

    Attributes:
        name: of the command and of the kind of result: "compare", "phase-diagram".
        request: the class of its request.
        protocol: "package.module:function" of (request, *, progress, **inputs) → `Result`.
        title: one sentence: what it asks.
        needs: inputs that are resolved from names in the request where they are not handed over: "model", "task".
        result: "package.module:Class" of its result.
        figures: "package.module:function" of result → {name: figure}.
        page: "package.module:PAGE": how the report shows it.
        stored_as: what its files call it, where that is not "iclmech <name>".
        estimate: "package.module:function" of (request, **inputs) → what it would take, in words through `str`.
        keeps: the protocol takes `cells`, a `Cells`, and asks it for every part of its work, so that it can go on from them.
    """

    name: str
    request: type[Request]
    protocol: str | Callable[..., Result]
    title: str = ""
    needs: tuple[str, ...] = ("model", "task")
    result: str = "iclmech._base:Result"
    figures: str = ""
    page: str = ""
    stored_as: str = ""
    estimate: str | Callable[..., Any] = ""
    keeps: bool = False

    def run(
        self,
        request: Request,
        *,
        progress: bool = True,
        out: str | Path | None = None,
        force: bool = False,
        **inputs: Any,
    ) -> Result:
        """Resolve what is missing, run, and say in the result what was asked.

        Args:
            request: plain values.
            progress: show a bar on standard error.
            out: a directory for the result, its table and the request. Finished parts are kept there while it runs: the same
                call goes on from them, and once it is finished reads the result.
            force: replace another result that stands in `out`, and discard the parts of another unfinished run.
            inputs: objects that stand behind "custom:" names, and those of `needs` that are there already.

        Raises:
            ExperimentError: a "custom:" name without its object; with `out`, an object without a content hash.
            FileError: another process writes into `out`, or something else stands there.
        """
        if out is None:
            return self.made(request, progress, Cells(), self.resolved(request, inputs))
        with run_in(out) as directory:
            return directory.result_of(self, request, inputs, progress=progress, force=force)

    def made(self, request: Request, progress: bool, cells: Cells, inputs: dict[str, Any]) -> Result:
        """The result of a request, all of whose inputs are there; finished parts come from `cells` and go to it."""
        protocol = resolve(self.protocol) if isinstance(self.protocol, str) else self.protocol
        more = {"cells": cells} if self.keeps else {}
        result = protocol(request, progress=progress, **more, **inputs)
        result.kind = self.name
        return result.with_provenance(kind=self.name, request=request.record())

    def estimated(self, request: Request, **inputs: Any) -> Any:
        """What `run` would take, without running it; raises `ExperimentError` where this cannot be told."""
        if not self.estimate:
            raise ExperimentError(
                f"{self.name} cannot tell beforehand what it takes; run it on few queries and seeds first."
            )
        function = resolve(self.estimate) if isinstance(self.estimate, str) else self.estimate
        return function(request, **self.resolved(request, inputs))

    def resolved(self, request: Request, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs with what is missing of `needs` loaded by the names in the request."""
        if not isinstance(request, self.request):
            raise ExperimentError(f"got a {type(request).__name__}; {self.name} takes a {self.request.__name__}.")
        lost = [name for name in request.objects if name not in inputs]
        if lost:
            raise ExperimentError(
                f"{', '.join(lost)} of this request stands for an object of one's own, which is not here. Hand it over, or "
                "give it a name with iclmech.register."
            )
        for need in sorted(self.needs, key=lambda need: need == "model"):  # the model, which takes longest, last
            if inputs.get(need) is None:
                inputs[need] = RESOLVERS[need](request)
        return inputs


def load_model_of(request: Any) -> Any:
    """The model that a request names."""
    import torch

    from iclmech.models import load_model

    dtype = getattr(torch, request.dtype, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ExperimentError(f"got dtype={request.dtype!r}; expected float32, float64, bfloat16 or float16.")
    return load_model(request.model, device=request.device, dtype=dtype)


def load_task_of(request: Any) -> Any:
    """The task that a request names."""
    from iclmech.tasks import load_task

    return load_task(request.task, data=request.data, template=getattr(request, "template", None))


RESOLVERS: dict[str, Callable[[Any], Any]] = {"model": load_model_of, "task": load_task_of}
"""How an input is made from the names in a request."""


def wrapped(model: Any) -> Any:
    """A TransformerLens model of one's own as an `ICLModel`; raises `ModelError` for what is no model."""
    from iclmech.models import model_of

    return model_of(model)


class Given:
    """Arguments of a Python function as a request and the objects behind it.

    An object is replaced by its name where it has one, else by "custom:" and the hash of its content; the objects are in
    `inputs`, for `Experiment.run`.
    """

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}

    def name(self, field: str, value: Any, by: str = "") -> Any:
        """The plain value of a field. `by`: the attribute that holds an object's own name."""
        if value is None or isinstance(value, str | int | float | bool):
            return value
        if isinstance(value, tuple | list) and all(isinstance(v, str | int | float | bool) for v in value):
            return tuple(value)
        if field == "model":
            value = wrapped(value)
        self.inputs[field] = value
        own = getattr(value, by, None) if by else None
        return str(own) if own else CUSTOM + content_hash(value)

    def named(self, field: str, things: Any, kind: str) -> tuple[str, ...]:
        """Names as they are; of {name: function}, the name with the hash of the function, which goes to the inputs."""
        if isinstance(things, str):
            return (things,)
        if not isinstance(things, Mapping):
            return tuple(things)
        known = REGISTRIES[kind]
        own = {
            name: thing
            for name, thing in things.items()
            if thing is not None and not (name in known and getattr(known[name], "function", None) is thing)
        }
        if own:
            self.inputs[field] = own
        return tuple(f"{n}={CUSTOM}{content_hash(own[n])}" if n in own else n for n in things)
