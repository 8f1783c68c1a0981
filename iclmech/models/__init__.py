"""Models: one face, `ICLModel`, over every TransformerLens model, checked at construction. One file per backend."""

from __future__ import annotations

from ._identity import model_identity as model_identity
from ._load import list_models as list_models, load_model as load_model
from ._model import ICLModel as ICLModel, Selector as Selector
from ._model_file import get_model_file as get_model_file
from ._named import model_of as model_of, model_table as model_table
from ._protocol import (
    Backend as Backend,
    Capabilities as Capabilities,
    HookFn as HookFn,
    ModelShape as ModelShape,
    Parameter as Parameter,
    ParameterKind as ParameterKind,
    ScoreDetails as ScoreDetails,
    ScoreWay as ScoreWay,
    StorageForm as StorageForm,
    canonical as canonical,
    is_ids as is_ids,
)
from ._scores import (
    SCORE_TAPS as SCORE_TAPS,
    allowed_keys as allowed_keys,
    scores_from_taps as scores_from_taps,
    softmax_allowed as softmax_allowed,
)
from ._weights import WeightsView as WeightsView, weights_view as weights_view
from .twin._availability import twin_of as twin_of, user_hooks as user_hooks
from .twin._partial_pass import (
    EndOfPass as EndOfPass,
    KeysValues as KeysValues,
    PartialPass as PartialPass,
    first_of as first_of,
    states_of as states_of,
    with_first as with_first,
    with_states as with_states,
)
from .twin._twin import (
    Place as Place,
    Twin as Twin,
    at_places as at_places,
    attention as attention,
    narrowed as narrowed,
)
