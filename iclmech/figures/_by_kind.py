"""The figures of each kind of result, by name, in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from . import _functions as fn
from ._accuracy import accuracy_by_setting
from ._allocation import allocation_by_layer
from ._calibration import calibration_accuracy, reliability_diagram
from ._circuit_diagram import circuit_diagram
from ._clamp_curves import clamp_curves, factor_curves, forgetting_curves, progress_curves
from ._contrasts import contrasts
from ._displacement import similarity_by_displacement
from ._emergence import emergence
from ._facts import facts_accuracy
from ._forest import claims_forest
from ._formation import formation
from ._function_updates import function_against_mechanism, updates_by_layer
from ._head_effects import head_effects
from ._heads import head_map
from ._heads_ablated import heads_ablated, two_scores
from ._momentum import momentum_curve
from ._over_axes import over_axes
from ._patch_map import patch_map
from ._phase_diagram import phase_diagram
from ._rates import learning_rate_curve
from ._selection import accuracy_by_tokens, selection_table
from ._similarity import similarity_by_layer
from ._snapshot_curves import elicited, likeness, on_top
from ._steering import strength_curve, vector_by_layer
from ._tuning import accuracy_by_radius

if TYPE_CHECKING:
    from iclmech._base import Result
    from iclmech.experiments import (
        Allocation,
        CalibrationTable,
        Circuit,
        Comparison,
        DualForm,
        FactsComparison,
        HeadsThatMatter,
        InductionHeads,
        Momentum,
        Patch,
        SelectionComparison,
        Steering,
        TrainingHistory,
        TunedContexts,
    )
    from iclmech.vectors import HeadEffects

Figures = dict[str, go.Figure]


def comparison_figures(result: Comparison) -> Figures:
    """Contrasts, similarity, accuracy, heads; displacement where it was measured, and learning rates where there is more than one."""
    data = result.means
    found = {
        "contrasts": contrasts(result),
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


def head_effects_figures(result: HeadEffects) -> Figures:
    """Effects of all heads, the leading ones, and how sure their places are."""
    return {"effects": head_effects(result)}


def patch_figures(result: Patch) -> Figures:
    """A map for every site, and of sites with heads for every role."""
    sites = [str(v) for v in result.data["site"].values.reshape(-1)]
    roles = [str(v) for v in result.data["role"].values.reshape(-1)] if "head" in result.data.dims else [""]
    several = len(sites) * len(roles) > 1
    return {
        " ".join(filter(None, ["patch", site, role])) if several else "patch": patch_map(
            result, site=site, role=role or None
        )
        for site in sites
        for role in roles
    }


def heads_figures(result: HeadsThatMatter) -> Figures:
    """Accuracy under ablation, and the two scores of every head."""
    return {"ablation": heads_ablated(result), "scores": two_scores(result)}


def allocation_figures(result: Allocation) -> Figures:
    """Where attention goes, layer by layer, with and without the chat template."""
    return {"allocation": allocation_by_layer(result)}


def momentum_figures(result: Momentum) -> Figures:
    """The rate chosen on training queries, and what it does on the others."""
    return {"momentum": momentum_curve(result)}


def steering_figures(result: Steering) -> Figures:
    """By layer, where the vector acts in one; by strength, where there are several."""
    found: Figures = {}
    if result.data.sizes["layer"] > 1:
        found["vector_by_layer"] = vector_by_layer(result)
    if result.data.sizes["strength"] > 1:
        found["strength"] = strength_curve(result)
    return found


def formation_figures(result: Result) -> Figures:
    """Abilities, heads and the order of events over training."""
    return {"formation": formation(result)}


def clamped_figures(result: Result) -> Figures:
    """Losses under clamps."""
    return {"clamps": clamp_curves(result)}


def phase_figures(result: Result) -> Figures:
    """The grid, seeds as dots."""
    return {"phase_diagram": phase_diagram(result)}


def task_diversity_figures(result: Result) -> Figures:
    """Seen, new and stored tasks over the number of tasks."""
    return {"tasks": phase_diagram(result)}


def forgetting_figures(result: Result) -> Figures:
    """Abilities over training, condition by condition."""
    return {"forgetting": forgetting_curves(result)}


def likeness_figures(result: Result) -> Figures:
    """Accuracy and similarity over training."""
    return {"likeness": likeness(result)}


def lead_figures(result: Result) -> Figures:
    """Accuracy with parts of the circuit given."""
    return {"elicited": elicited(result)}


def supportive_figures(result: Result) -> Figures:
    """What training on top did."""
    return {"on_top": on_top(result)}


def progress_figures(result: Result) -> Figures:
    """Losses with the rest of the circuit given."""
    return {"progress": progress_curves(result)}


def three_factor_figures(result: Result) -> Figures:
    """Losses of three factors."""
    return {"factors": factor_curves(result)}


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


def predictor_figures(result: Any) -> Figures:
    """The curve, distances, and the layers."""
    found = {"curve": fn.in_context_curve(result), "difference": fn.prediction_difference(result)}
    return found | ({"lens": fn.layer_lens(result)} if "lens" in result.data else {})


def function_update_figures(result: Any) -> Figures:
    """Function against mechanism; rates and layers."""
    return {"plane": function_against_mechanism(result), "layers": updates_by_layer(result)}


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


def pasting_figures(result: Any) -> Figures:
    """Distance to the best answers by number of examples."""
    d = result.data
    title, unit = "Upper layers on a fresh read-in", "squared difference / d from Bayes"
    about = "Lines: means over read-ins and prompts; bands: two-way intervals."
    return {"pasting": fn.curves(d["distance"], d["distance_ci"], "variant", title=title, unit=unit, about=about)}


def tuning_figures(result: TunedContexts) -> Figures:
    """Accuracy and loss by radius."""
    return {"radius": accuracy_by_radius(result)}


def reproduction_figures(result: Result) -> Figures:
    """The claims with their margins."""
    return {"claims": claims_forest(result)}
