"""Experiments: protocols that turn a model and a task into a labelled result."""

from __future__ import annotations

from typing import TYPE_CHECKING

_HOME = {
    "CONTROLS": "_compare_plan",
    "CircuitConfig": "_config",
    "CompareConfig": "_config",
    "TrainMiniConfig": "_config",
    "CompareError": "_compare_plan",
    "Comparison": "_comparison",
    "UPDATES": "_compare_plan",
    "BYPASSES": "_circuit_plan",
    "EDGES": "_circuit_plan",
    "order_sensitivity": "_order",
    "inference_circuit": "_circuit",
    "induction_heads": "_induction_heads",
    "dual_form": "_dual_form",
    "OrderSensitivity": "_order",
    "CircuitError": "_circuit_plan",
    "Circuit": "_circuit_result",
    "compare": "_compare",
    "published": "_published",
}

if TYPE_CHECKING:
    from ._circuit import inference_circuit as inference_circuit
    from ._circuit_plan import BYPASSES as BYPASSES, EDGES as EDGES, CircuitError as CircuitError
    from ._circuit_result import Circuit as Circuit
    from ._compare import compare as compare
    from ._compare_plan import CONTROLS as CONTROLS, UPDATES as UPDATES, CompareError as CompareError
    from ._comparison import Comparison as Comparison
    from ._config import (
        CircuitConfig as CircuitConfig,
        CompareConfig as CompareConfig,
        TrainMiniConfig as TrainMiniConfig,
    )
    from ._dual_form import dual_form as dual_form
    from ._induction_heads import induction_heads as induction_heads
    from ._order import OrderSensitivity as OrderSensitivity, order_sensitivity as order_sensitivity
    from ._published import published as published

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
