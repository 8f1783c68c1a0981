"""A run with a directory: it goes on from the parts that stand there, and its result, table and request appear together."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclmech._base import (
    CELLS,
    RESULT,
    Cells,
    FileError,
    Result,
    atomic_write,
    claimed,
    digest,
    load_result,
    provenance,
    publish,
    to_ascii_json,
)

from ._content_hash import UNHASHED, content_hash
from ._request import CUSTOM, ExperimentError, Request

if TYPE_CHECKING:
    from ._experiment import Experiment

TABLE, CONFIG = "summary.csv", "config.json"


@contextlib.contextmanager
def run_in(out: str | Path) -> Iterator[Run]:
    """Own a directory for one run.

    Raises:
        FileError: another process writes there, or nothing can be written.
    """
    with claimed(out) as directory:
        yield Run(directory)


@dataclass(frozen=True)
class Run:
    """A directory that is ours."""

    directory: Path

    def result_of(
        self,
        experiment: Experiment,
        request: Request,
        inputs: dict[str, Any],
        *,
        progress: bool = False,
        force: bool = False,
    ) -> Result:
        """The result that stands here, or the run itself, from its finished parts on; see `Experiment.run`."""
        inputs = experiment.resolved(request, inputs)
        found = self.standing(experiment, request, inputs, force)
        if found is not None:
            return found
        cells = self.cells(experiment, request, inputs, force)
        return self.save(experiment.made(request, progress, cells, inputs))

    def standing(
        self, experiment: Experiment, request: Request, inputs: Mapping[str, Any], force: bool
    ) -> Result | None:
        """The result of the same run, if it stands here; None where there is none, or with `force`.

        Raises:
            FileError: another result stands here.
        """
        if force or not (self.directory / RESULT).is_file():
            return None
        found = load_result(self.directory / RESULT)
        said = {name: (found.provenance.get(name) or {}).get("hash") for name in ("model", "task")}
        here = {name: content_hash(inputs[name]) for name in said if said[name] and name in inputs}
        same = found.kind == experiment.name and found.provenance.get("request") == request.record()
        if same and all(said[name] == value for name, value in here.items()):
            self.tidy()
            return found
        raise FileError(
            f"{self.directory} exists already and holds the result of another run ({found.kind}); it is kept as it is. Choose "
            "another directory, or ask to overwrite it."
        )

    def cells(self, experiment: Experiment, request: Request, inputs: Mapping[str, Any], force: bool) -> Cells:
        """The parts of this run that stand here.

        Raises:
            ExperimentError: the run cannot be told from another one.
            FileError: the parts of another unfinished run stand here.
        """
        key = run_key(experiment, request, inputs)
        home = self.directory / CELLS
        others = sorted(path.name for path in home.iterdir() if path.name != key) if home.is_dir() else []
        if others and not force:
            raise FileError(
                f"{self.directory} holds an unfinished run of another request, model, task or version; it is kept as it is. "
                "Choose another directory, or ask to overwrite it."
            )
        for name in others:
            shutil.rmtree(home / name, ignore_errors=True)
        return Cells(home / key)

    def save(self, result: Result) -> Result:
        """Result, table and request, together; the parts are of no use any more."""
        table, config = result.summary().to_csv(index=False), to_ascii_json(result.provenance["request"])
        publish(
            self.directory,
            {
                RESULT: result.save,
                TABLE: lambda path: _write_text(path, table),
                CONFIG: lambda path: _write_text(path, config),
            },
        )
        self.tidy()
        return result

    def tidy(self) -> None:
        """Discard the parts of a run whose result stands."""
        if (self.directory / RESULT).is_file():
            shutil.rmtree(self.directory / CELLS, ignore_errors=True)


def run_key(experiment: Experiment, request: Request, inputs: Mapping[str, Any]) -> str:
    """16 hex digits of all that a run's numbers depend on: request, inputs, versions.

    Raises:
        ExperimentError: an object of one's own has no content hash.
    """
    if f"{CUSTOM}{UNHASHED}" in repr(request):
        fields = [name for name in request.objects if f"{CUSTOM}{UNHASHED}" in repr(getattr(request, name))]
        raise ExperimentError(
            f"{', '.join(fields)} cannot be told from another object by its content, so a run with it cannot go on later. Give "
            "it a name with iclmech.register, or run without a directory."
        )
    content = {
        name: [content_hash(value), str(getattr(value, "device", "")), str(getattr(value, "dtype", ""))]
        for name, value in sorted(inputs.items())
    }
    return digest(experiment.name, request.record(), content, provenance())


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
