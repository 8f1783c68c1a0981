"""What an inference-circuit run is asked to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from iclmech._base import Cells
from iclmech.interventions import parse_edges
from iclmech.models import ICLModel
from iclmech.tasks import Task

from .._request import ExperimentError
from ._request import EDGES, CircuitRequest

ARMS = ("cut", "random", "mass")
"""The cut, and its controls: as many random edges of the same destinations; other edges of the same attention mass."""
SETTINGS = ("zs", "icl", "icl:shuffled_labels")

Window = tuple[int, int]
Reference = Callable[[Sequence[str]], Tensor]


class CircuitError(ExperimentError):
    """The inference circuit cannot be measured as asked."""


@dataclass(frozen=True)
class CircuitPlan:
    """A checked request, and the objects behind it."""

    request: CircuitRequest
    task: Task
    seeds: tuple[int, ...]
    edges: tuple[str, ...]
    windows: tuple[Window, ...]
    reference: Reference | None = None
    selection: Any = "random"
    progress: bool = False
    cells: Cells = field(default_factory=Cells)

    def record(self) -> dict[str, Any]:
        """The plan for the provenance: JSON-serialisable."""
        names = ("k", "n_queries", "n_contexts", "n_held_out", "untrained", "separator", "selection", "n_boot", "level")
        return {
            **{name: getattr(self.request, name) for name in names},
            "seeds": list(self.seeds),
            "edges": list(self.edges),
            "windows": [list(w) for w in self.windows],
            "reference": getattr(self.reference, "__name__", "function") if self.reference else None,
        }


def edges_of(edges: Sequence[str] | str) -> tuple[str, ...]:
    """Checked edge names, each once."""
    given = tuple(dict.fromkeys((edges,) if isinstance(edges, str) else edges))
    if not given:
        raise CircuitError(f"got no edges; expected some such as {', '.join(EDGES)}.")
    for edge in given:
        parse_edges(edge)
    return given


def windows_of(model: ICLModel, windows: Sequence[Window] | None) -> tuple[Window, ...]:
    """Candidate windows of layers (first, last), both included: a quarter, half and all of the depth, sliding by half
    their width; or the ones given."""
    n = model.shape.n_layers
    if windows is None:
        found: list[Window] = []
        for width in sorted({math.ceil(n / 4), math.ceil(n / 2), n}):
            starts = [*range(0, n - width + 1, max(1, width // 2)), n - width]
            found += [(start, start + width - 1) for start in dict.fromkeys(starts)]
        return tuple(found)
    for window in windows:
        if len(window) != 2 or not 0 <= window[0] <= window[1] < n:
            raise CircuitError(
                f"got the window {tuple(window)}; expected (first, last) layer within 0 to {n - 1} of {model.name}."
            )
    if not windows:
        raise CircuitError("got no windows of layers; expected at least one (first, last), or None.")
    return tuple((int(first), int(last)) for first, last in windows)
