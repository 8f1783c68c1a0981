"""The figures of each kind of result, by name, in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ._accuracy import accuracy_by_setting
from ._circuit_diagram import circuit_diagram
from ._displacement import similarity_by_displacement
from ._emergence import emergence
from ._heads import head_map
from ._over_axes import over_axes
from ._rates import learning_rate_curve
from ._similarity import similarity_by_layer

if TYPE_CHECKING:
    from iclmech._base import Result
    from iclmech.experiments import Circuit, Comparison, DualForm, InductionHeads, TrainingHistory

Figures = dict[str, go.Figure]


def comparison_figures(result: Comparison) -> Figures:
    """Similarity, accuracy, heads; displacement where it was measured, and learning rates where there is more than one."""
    data = result.means
    found = {
        "similarity": similarity_by_layer(result),
        "accuracy": accuracy_by_setting(result),
        "heads": head_map(result),
    }
    if "displacement_overall" in data and not bool(data["displacement_overall"].isnull().all()):
        found["displacement"] = similarity_by_displacement(result)
    if "rate_accuracy" in data or data.sizes.get("lr", 1) > 1:
        found["rates"] = learning_rate_curve(result)
    return found


def circuit_figures(result: Circuit) -> Figures:
    """The circuit with what its cuts cost, and the heads that retrieve."""
    return {"circuit": circuit_diagram(result), "heads": head_map(result, "correct_induction")}


def induction_figures(result: InductionHeads) -> Figures:
    """Every head."""
    return {"heads": head_map(result, "prefix_matching")}


def dual_form_figures(result: DualForm) -> Figures:
    """The cosine of the two maps of every head."""
    return {"heads": head_map(result.data["cosine"].sel(source="update"), "cosine")}


def sweep_figures(result: Result) -> Figures:
    """The first measures over every axis that has more than one value."""
    return over_axes(result)


def history_figures(result: TrainingHistory) -> Figures:
    """Abilities over training."""
    return {"emergence": emergence(result.rows())}
