"""Weight updates worth one prompt of demonstrations: gradient descent, layer-causal gradient descent, apply, restore."""

from __future__ import annotations

from ._losses import PositionLoss as PositionLoss, cross_entropy as cross_entropy, squared_error as squared_error
from ._parameter_layout import ParameterLayout as ParameterLayout
from ._samples import Sample as Sample
from ._weight_update import WeightUpdate as WeightUpdate
from .methods._adamw import adamw as adamw
from .methods._gd import gradient_descent as gradient_descent
from .methods._lcgd import layer_causal_gd as layer_causal_gd
from .methods._momentum import momentum_gd as momentum_gd
