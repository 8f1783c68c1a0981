"""Figures: a result in, a `plotly.graph_objects.Figure` out. Nothing is run or judged here.

Each figure holds from 400 to 1600 px, has one colour per update, draws its intervals, and shows what is masked as masked.
`figure.show()` in a notebook; `figure.write_image("figure.svg")` with the extra `iclmech[figures]`.
"""

from ._accuracy import accuracy_by_setting as accuracy_by_setting
from ._attention_text import attention_text as attention_text
from ._by_kind import (
    circuit_figures as circuit_figures,
    comparison_figures as comparison_figures,
    dual_form_figures as dual_form_figures,
    history_figures as history_figures,
    induction_figures as induction_figures,
)
from ._circuit_diagram import circuit_diagram as circuit_diagram
from ._displacement import similarity_by_displacement as similarity_by_displacement
from ._emergence import emergence as emergence
from ._heads import head_map as head_map
from ._lens import logit_lens as logit_lens
from ._names import (
    comparison_name as comparison_name,
    measure_name as measure_name,
    setting_name as setting_name,
    update_name as update_name,
)
from ._rates import learning_rate_curve as learning_rate_curve
from ._similarity import similarity_by_layer as similarity_by_layer
from ._text import plain as plain
from ._theme import template as template
from ._trajectory import shift_trajectory as shift_trajectory


def __getattr__(name: str) -> object:
    """A name of the last release: the colours are in the records of the updates now."""
    if name != "UPDATE_COLOURS":
        raise AttributeError(f"module 'iclmech.figures' has no attribute {name!r}")
    import warnings

    from iclmech._base import REGISTRIES

    warnings.warn("UPDATE_COLOURS is going; a registered update has a colour.", DeprecationWarning, stacklevel=2)
    return {update: REGISTRIES["update"][update].colour for update in ("gd", "lcgd")}
