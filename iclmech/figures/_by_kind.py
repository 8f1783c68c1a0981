"""The figures of each kind of result, by name, in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from . import _functions as fn
from ._accuracy import accuracy_by_setting
from ._circuit_diagram import circuit_diagram
from ._displacement import similarity_by_displacement
from ._emergence import emergence
from ._heads import head_map
from ._rates import learning_rate_curve
from ._similarity import similarity_by_layer

if TYPE_CHECKING:
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


def history_figures(result: TrainingHistory) -> Figures:
    """Abilities over training."""
    return {"emergence": emergence(result.rows())}


def predictor_figures(result: Any) -> Figures:
    """The curve, distances, and the layers."""
    found = {"curve": fn.in_context_curve(result), "difference": fn.prediction_difference(result)}
    return found | ({"lens": fn.layer_lens(result)} if "lens" in result.data else {})


def function_update_figures(result: Any) -> Figures:
    """Function against mechanism."""
    return {"updates": fn.function_against_mechanism(result)}


def implied_weights_figures(result: Any) -> Figures:
    """Linearity and whose weights."""
    return {"weights": fn.implied_weights(result)}


def weight_probe_figures(result: Any) -> Figures:
    """Probes by layer."""
    return {"probes": fn.probes(result)}


def regret_figures(result: Any) -> Figures:
    """Cumulative regret."""
    d = result.data
    return {"regret": fn.curves(d["regret"], d["regret_ci"], "who", title="Regret", unit="nats, cumulative")}


def shifted_figures(result: Any) -> Figures:
    """Error under every change, of the learner and of Bayes."""
    d = result.data
    unit = "error (squared / d where real)"
    return {
        name: fn.curves(d[of], d[f"{of}_ci"], "change", title=title, unit=unit)
        for name, of, title in (
            ("learner", "error", "The learner"),
            ("bayes", "error_bayes", "The posterior of training"),
        )
    }


def diversity_figures(result: Any) -> Figures:
    """Memory or regression."""
    return {"diversity": fn.task_diversity(result)}


def ngram_figures(result: Any) -> Figures:
    """Heads."""
    return {"heads": fn.ngram_heads(result)}
