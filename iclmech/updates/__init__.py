"""Weight updates worth one prompt of demonstrations: gradient descent, layer-causal gradient descent, apply, restore."""

from __future__ import annotations

from ._gd import gradient_descent as gradient_descent
from ._layout import LeafLayout as LeafLayout
from ._lcgd import layer_causal_gd as layer_causal_gd
from ._weight_update import WeightUpdate as WeightUpdate
