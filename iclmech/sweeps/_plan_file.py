"""Plans of sweeps in TOML files, and the command that runs or watches them."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclmech._base import duration

from ._axes import SweepError
from ._plan import read_plan
from ._run_sweep import sweep
from ._sweep import Sweep

if TYPE_CHECKING:
    from rich.table import Table

_EVERY = 2.0
_ROWS = 40


def run_plan(
    plan: Path, out: str = "", executor: str = "", *, wait: bool = True, status: bool = False, progress: bool = True
) -> None:
    """What `iclmech sweep` does: run a plan, go on with a sweep's directory, or show how far it is.

    Args:
        plan: a TOML file or the directory of a sweep.
        out, executor: in the place of the plan's.
        wait, progress: as in `sweep`.
        status: only show.

    Raises:
        SweepError, FileError: as `sweep`.
    """
    given = _arguments(plan)
    given |= {name: value for name, value in (("out", out), ("executor", executor)) if value}
    if status:
        return watch(Sweep(given["out"]))
    found = sweep(**given, wait=wait, progress=progress)
    if given.get("executor") == "dry-run":
        return _show_cost(found)
    watch(found, once=True)


def _arguments(plan: Path) -> dict[str, Any]:
    if not plan.is_dir():
        return plan_of_file(plan)
    stands = read_plan(plan)
    axes = {axis.fields: [at if len(axis.fields) > 1 else next(iter(at)) for at in axis.values] for axis in stands.axes}
    return {**stands.fixed, "experiment": stands.experiment, "axes": axes, "out": str(plan)}


def watch(found: Sweep, once: bool = False) -> None:
    """Show the cells; in a terminal, until none is running or waiting for a running worker."""
    from rich.console import Console
    from rich.live import Live

    console = Console(width=None if sys.stdout.isatty() else 120)
    if once or not console.is_terminal:
        console.print(status_table(found))
        return
    with Live(status_table(found), console=console, refresh_per_second=2) as live:
        while found.counts()["running"]:
            time.sleep(_EVERY)
            live.update(status_table(found))


def status_table(found: Sweep) -> Table:
    """What is not done first, with the error of what failed; of the rest so many rows as a screen holds."""
    from rich.table import Table
    from rich.text import Text

    rows = found.status()
    order = rows["state"].map(["failed", "running", "waiting", "done"].index)
    rows = rows.assign(order=order).sort_values("order", kind="stable").drop(columns="order")
    counts = ", ".join(f"{n} {state}" for state, n in found.counts().items() if n)
    table = Table("cell", "state", "seconds", "error", title=f"{found.plan.experiment} in {found.directory}: {counts}")
    for row in rows.head(_ROWS).to_dict("records"):
        seconds = "" if row["seconds"] != row["seconds"] else f"{row['seconds']:.1f}"
        table.add_row(Text(row["cell"]), row["state"], seconds, Text(row["error"]))
    if len(rows) > _ROWS:
        table.caption = f"{len(rows) - _ROWS} more cells in .status()"
    return table


def _show_cost(found: Sweep) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = found.cost()
    total = sum(seconds for seconds in rows["seconds"].tolist() if seconds == seconds)
    table = Table("cell", "state", "about", title=f"{len(rows)} cells of {found.plan.experiment}; nothing is run")
    for row in rows.to_dict("records"):
        table.add_row(Text(row["cell"]), row["state"], Text(row["about"]))
    table.caption = f"About {duration(total)} of one process in all." if total else None
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def plan_of_file(path: Path) -> dict[str, Any]:
    """The arguments of `sweep` in a TOML file.

    Raises:
        SweepError: it cannot be read, or holds what `sweep` does not take.
    """
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SweepError(
            f"{path} cannot be read as a plan ({error}); expected a TOML file with experiment, out and [axes]."
        ) from error
    known = ("experiment", "out", "executor", "axes", "fixed", "local", "slurm")
    unknown = sorted(set(content) - set(known))
    missing = sorted({"experiment", "axes"} - set(content))
    if unknown or missing:
        raise SweepError(
            f"{path} holds {', '.join(unknown) or 'no ' + ' and no '.join(missing)}; expected {', '.join(known)}, the last four as tables."
        )
    content["axes"] = {key: _range(value) for key, value in content["axes"].items()}
    return {**content.pop("fixed", {}), "out": str(Path("runs") / path.stem), **content}


def _range(value: Any) -> Any:
    """{from = 1, to = 9, step = 2} → 1, 3, 5, 7, 9; with factor = 2 → 1, 2, 4, 8; a list stays."""
    if not isinstance(value, Mapping):
        return value
    extra = set(value) - {"from", "to", "step", "factor"}
    step, factor = value.get("step", 1), value.get("factor")
    numbers = [value.get("from"), value.get("to"), step, factor or 2]
    if (
        extra
        or not all(isinstance(v, int | float) for v in numbers)
        or step <= 0
        or (factor is not None and factor <= 1)
    ):
        raise SweepError(f"got the range {dict(value)}; expected from, to, and step (above 0) or factor (above 1).")
    found, n = [], 0
    while (at := value["from"] + n * step if factor is None else value["from"] * factor**n) <= value[
        "to"
    ] + 1e-9 and n < 100_000:
        found.append(at)
        n += 1
    return found
