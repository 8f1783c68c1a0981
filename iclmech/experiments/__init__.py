"""Experiments: protocols that turn a model and a task into a labelled result."""

from __future__ import annotations

from typing import TYPE_CHECKING

_HOME = {
    "CONTROLS": "comparison._plan",
    "CircuitConfig": "_config",
    "CompareConfig": "_config",
    "TrainMiniConfig": "_config",
    "CompareError": "comparison._plan",
    "Comparison": "comparison._result",
    "UPDATES": "comparison._plan",
    "BYPASSES": "_inference_circuit._plan",
    "EDGES": "_inference_circuit._plan",
    "order_sensitivity": "_order",
    "inference_circuit": "_inference_circuit._protocol",
    "induction_heads": "_induction_heads",
    "dual_form": "_dual_form",
    "OrderSensitivity": "_order",
    "CircuitError": "_inference_circuit._plan",
    "Circuit": "_inference_circuit._result",
    "compare": "comparison._protocol",
    "published": "_published",
}

if TYPE_CHECKING:
    from ._config import (
        CircuitConfig as CircuitConfig,
        CompareConfig as CompareConfig,
        TrainMiniConfig as TrainMiniConfig,
    )
    from ._dual_form import dual_form as dual_form
    from ._induction_heads import induction_heads as induction_heads
    from ._inference_circuit._plan import BYPASSES as BYPASSES, EDGES as EDGES, CircuitError as CircuitError
    from ._inference_circuit._protocol import inference_circuit as inference_circuit
    from ._inference_circuit._result import Circuit as Circuit
    from ._order import OrderSensitivity as OrderSensitivity, order_sensitivity as order_sensitivity
    from ._published import published as published
    from .comparison._plan import CONTROLS as CONTROLS, UPDATES as UPDATES, CompareError as CompareError
    from .comparison._protocol import compare as compare
    from .comparison._result import Comparison as Comparison

if not TYPE_CHECKING:

    def __getattr__(name: str):
        """Import what is asked for on first use: the command line reads the configuration without torch."""
        import importlib

        if name not in _HOME:
            raise AttributeError(f"module 'iclmech.experiments' has no attribute {name!r}; it has {', '.join(_HOME)}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Names for tab completion."""
    return sorted(_HOME)
