"""Figures: a result in, a `plotly.graph_objects.Figure` out. Nothing is run or judged here.

Each figure holds from 400 to 1600 px, has one colour per update, draws its intervals, and shows what is masked as masked.
`figure.show()` in a notebook; `save_figure(figure_for(result, "similarity", width="column"), "figure.pdf")` for a paper, with
the extra `iclmech[figures]`.
"""

from ._accuracy import accuracy_by_setting as accuracy_by_setting
from ._allocation import allocation_by_layer as allocation_by_layer
from ._attention_text import attention_text as attention_text
from ._by_kind import (
    allocation_figures as allocation_figures,
    calibration_figures as calibration_figures,
    circuit_figures as circuit_figures,
    clamped_figures as clamped_figures,
    comparison_figures as comparison_figures,
    dual_form_figures as dual_form_figures,
    facts_figures as facts_figures,
    forgetting_figures as forgetting_figures,
    formation_figures as formation_figures,
    head_effects_figures as head_effects_figures,
    heads_figures as heads_figures,
    history_figures as history_figures,
    induction_figures as induction_figures,
    lead_figures as lead_figures,
    likeness_figures as likeness_figures,
    momentum_figures as momentum_figures,
    patch_figures as patch_figures,
    phase_figures as phase_figures,
    progress_figures as progress_figures,
    selection_figures as selection_figures,
    steering_figures as steering_figures,
    supportive_figures as supportive_figures,
    sweep_figures as sweep_figures,
    task_diversity_figures as task_diversity_figures,
    three_factor_figures as three_factor_figures,
    tuning_figures as tuning_figures,
)
from ._calibration import calibration_accuracy as calibration_accuracy, reliability_diagram as reliability_diagram
from ._circuit_diagram import circuit_diagram as circuit_diagram
from ._clamp_curves import (
    clamp_curves as clamp_curves,
    factor_curves as factor_curves,
    forgetting_curves as forgetting_curves,
    progress_curves as progress_curves,
)
from ._contrasts import contrasts as contrasts
from ._displacement import similarity_by_displacement as similarity_by_displacement
from ._emergence import emergence as emergence
from ._facts import facts_accuracy as facts_accuracy
from ._formation import formation as formation
from ._head_effects import head_effects as head_effects
from ._heads import head_map as head_map
from ._heads_ablated import heads_ablated as heads_ablated, two_scores as two_scores
from ._lens import logit_lens as logit_lens
from ._momentum import momentum_curve as momentum_curve
from ._names import (
    comparison_name as comparison_name,
    measure_name as measure_name,
    setting_name as setting_name,
    update_name as update_name,
)
from ._over_axes import over_axes as over_axes
from ._paper import figure_for as figure_for, save_figure as save_figure
from ._patch_map import patch_map as patch_map
from ._phase_diagram import phase_diagram as phase_diagram
from ._rates import learning_rate_curve as learning_rate_curve
from ._selection import accuracy_by_tokens as accuracy_by_tokens, selection_table as selection_table
from ._similarity import similarity_by_layer as similarity_by_layer
from ._snapshot_curves import elicited as elicited, likeness as likeness, on_top as on_top
from ._steering import strength_curve as strength_curve, vector_by_layer as vector_by_layer
from ._text import plain as plain
from ._theme import template as template
from ._trajectory import shift_trajectory as shift_trajectory
from ._tuning import accuracy_by_radius as accuracy_by_radius


def __getattr__(name: str) -> object:
    """A name of the last release: the colours are in the records of the updates now."""
    if name != "UPDATE_COLOURS":
        raise AttributeError(f"module 'iclmech.figures' has no attribute {name!r}")
    import warnings

    from iclmech._base import REGISTRIES

    warnings.warn("UPDATE_COLOURS is going; a registered update has a colour.", DeprecationWarning, stacklevel=2)
    return {update: REGISTRIES["update"][update].colour for update in ("gd", "lcgd")}
