"""iclmech: how do transformers learn in context?

Capture what happens in every layer while a model learns from demonstrations in its prompt, apply the same
demonstrations as weight updates (gradient descent, layer-causal gradient descent), and compare, with controls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_EXPORTS = {
    "iclmech._base": ("ICLMechError", "ICLMechWarning"),
    "iclmech.models": ("ICLModel", "WeightsView", "list_models", "load_model", "weights_view"),
    "iclmech.tasks": ("PromptSet", "Task", "build_prompts", "list_tasks", "load_task"),
    "iclmech.captures": ("Activations", "capture"),
    "iclmech.updates": ("WeightUpdate", "gradient_descent", "layer_causal_gd"),
    "iclmech.experiments": (
        *("Circuit", "Comparison", "OrderSensitivity", "compare", "dual_form", "induction_heads"),
        *("inference_circuit", "order_sensitivity", "published"),
    ),
    "iclmech.report": ("write_report",),
}
_MODULES = {
    "analysis": "iclmech.analysis",
    "calibration": "iclmech.calibration",
    "circuit": "iclmech.analysis.circuit",
    "figures": "iclmech.figures",
    "interventions": "iclmech.interventions",
    "metrics": "iclmech.analysis.metrics",
    "mini": "iclmech.mini",
    "statistics": "iclmech.analysis.statistics",
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

if TYPE_CHECKING:
    from iclmech import (
        analysis as analysis,
        calibration as calibration,
        figures as figures,
        interventions as interventions,
        mini as mini,
    )
    from iclmech._base import ICLMechError as ICLMechError, ICLMechWarning as ICLMechWarning
    from iclmech.analysis import circuit as circuit, metrics as metrics, statistics as statistics
    from iclmech.captures import Activations as Activations, capture as capture
    from iclmech.experiments import (
        Circuit as Circuit,
        Comparison as Comparison,
        OrderSensitivity as OrderSensitivity,
        compare as compare,
        dual_form as dual_form,
        induction_heads as induction_heads,
        inference_circuit as inference_circuit,
        order_sensitivity as order_sensitivity,
        published as published,
    )
    from iclmech.models import (
        ICLModel as ICLModel,
        WeightsView as WeightsView,
        list_models as list_models,
        load_model as load_model,
        weights_view as weights_view,
    )
    from iclmech.report import write_report as write_report
    from iclmech.tasks import (
        PromptSet as PromptSet,
        Task as Task,
        build_prompts as build_prompts,
        list_tasks as list_tasks,
        load_task as load_task,
    )
    from iclmech.updates import (
        WeightUpdate as WeightUpdate,
        gradient_descent as gradient_descent,
        layer_causal_gd as layer_causal_gd,
    )

if not TYPE_CHECKING:
    import sys
    import types

    class _Package(types.ModuleType):
        """`iclmech.captures` stays the function when the package of that name is imported, which would take its place."""

        def __setattr__(self, name: str, value: object) -> None:
            if not (name in _HOME and isinstance(value, types.ModuleType)):
                super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package

    def __getattr__(name: str):
        """Import what is asked for on first use, so that `import iclmech` stays instant."""
        import importlib

        if name in _MODULES:
            value = importlib.import_module(_MODULES[name])
        elif name in _HOME:
            value = getattr(importlib.import_module(_HOME[name]), name)
        else:
            raise AttributeError(
                f"module 'iclmech' has no attribute {name!r}; it has {', '.join(sorted([*_HOME, *_MODULES]))}"
            )
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Names for tab completion."""
    return sorted([*_HOME, *_MODULES, "__version__"])
