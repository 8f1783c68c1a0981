"""The figures of each kind of result, by name, in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from ._accuracy import accuracy_by_setting
from ._calibration import calibration_accuracy, reliability_diagram
from ._circuit_diagram import circuit_diagram
from ._displacement import similarity_by_displacement
from ._emergence import emergence
from ._facts import facts_accuracy
from ._heads import head_map
from ._rates import learning_rate_curve
from ._selection import accuracy_by_tokens, selection_table
from ._similarity import similarity_by_layer
from ._tuning import accuracy_by_radius

if TYPE_CHECKING:
    from iclmech.experiments import (
        CalibrationTable,
        Circuit,
        Comparison,
        DualForm,
        FactsComparison,
        InductionHeads,
        SelectionComparison,
        TrainingHistory,
        TunedContexts,
    )

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


def history_figures(result: TrainingHistory) -> Figures:
    """Abilities over training."""
    return {"emergence": emergence(result.rows())}


def selection_figures(result: SelectionComparison) -> Figures:
    """Accuracy by method; by tokens where numbers were tried."""
    found = {"methods": selection_table(result)}
    if "rung_accuracy" in result.data:
        found["tokens"] = accuracy_by_tokens(result)
    return found


def calibration_figures(result: CalibrationTable) -> Figures:
    """Accuracy by method, and whether the model is as right as it is sure."""
    return {"accuracy": calibration_accuracy(result), "reliability": reliability_diagram(result)}


def facts_figures(result: FactsComparison) -> Figures:
    """Accuracy by hops and things."""
    return {"accuracy": facts_accuracy(result)}


def tuning_figures(result: TunedContexts) -> Figures:
    """Accuracy and loss by radius."""
    return {"radius": accuracy_by_radius(result)}
