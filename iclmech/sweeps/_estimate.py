"""What the cells of a sweep would take, without running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iclmech._base import ICLMechError, duration
from iclmech.experiments._experiment import RESOLVERS

from ._cell_state import directory_of, state_of

if TYPE_CHECKING:
    import pandas as pd

    from ._sweep import Sweep


def cost_table(sweep: Sweep) -> pd.DataFrame:
    """One row per cell: `cell`, `state`, `seconds` (NaN where done or not known), `about`."""
    import pandas as pd

    held: dict[tuple[Any, ...], Any] = {}
    rows = []
    for cell in sweep.plan.cells:
        state = state_of(directory_of(sweep.directory, cell.address))
        seconds, about = (float("nan"), "") if state == "done" else _probe(sweep, cell.request, held)
        rows.append({"cell": cell.name, "state": state, "seconds": seconds, "about": about})
    return pd.DataFrame(rows, columns=["cell", "state", "seconds", "about"])


def _probe(sweep: Sweep, request: Any, held: dict[tuple[Any, ...], Any]) -> tuple[float, str]:
    """Seconds and words for one cell, with the model that the last one had, if it is the same."""
    experiment = sweep.plan.runs
    if not experiment.estimate:
        return float("nan"), f"{experiment.name} cannot tell beforehand"
    names = ("model", *(getattr(request, name, None) for name in ("model", "device", "dtype")))
    try:
        if "model" in experiment.needs and names not in held:
            held.clear()
            held[names] = RESOLVERS["model"](request)
        found = experiment.estimated(request, **({"model": held[names]} if names in held else {}))
    except ICLMechError as error:
        return float("nan"), str(error)
    seconds = float(getattr(found, "seconds", "nan"))
    return seconds, duration(seconds) if seconds == seconds else str(found)
