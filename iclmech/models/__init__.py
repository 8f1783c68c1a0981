"""Models: one face, `ICLModel`, over every TransformerLens model, checked at construction. One file per backend."""

from __future__ import annotations

from ._load import list_models as list_models, load_model as load_model
from ._model import ICLModel as ICLModel, Selector as Selector
from ._plain import twin_of as twin_of, user_hooks as user_hooks
from ._protocol import (
    Backend as Backend,
    Capabilities as Capabilities,
    HookFn as HookFn,
    Leaf as Leaf,
    ModelShape as ModelShape,
    ScoreWay as ScoreWay,
)
from ._scores import (
    SCORE_TAPS as SCORE_TAPS,
    allowed_keys as allowed_keys,
    scores_from_taps as scores_from_taps,
    softmax_allowed as softmax_allowed,
)
from ._twin import Place as Place, Twin as Twin, attention as attention, narrowed as narrowed
from ._weights import WeightsView as WeightsView, weights_view as weights_view
