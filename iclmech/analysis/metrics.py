"""The measures of `iclmech`, as `icl.metrics`: pure functions from activations to numbers, one per query.

`zs`, `icl` and `ft` are `Activations` of the same queries in three settings, or anything that gives a tensor for the
name of a site, or the tensors themselves. An entry without a meaningful value is NaN, and is counted by `n_masked`.
"""

from __future__ import annotations

from ._agreement import (
    accuracy as accuracy,
    change_agreement as change_agreement,
    correct as correct,
    label_js as label_js,
    label_kl as label_kl,
    label_nll as label_nll,
    order_sensitivity as order_sensitivity,
    predictions as predictions,
    rec2ftp as rec2ftp,
    token_overlap as token_overlap,
    vocabulary_accuracy as vocabulary_accuracy,
)
from ._calibration_error import brier as brier, ece as ece, ece_floor as ece_floor
from ._chance import above_constant as above_constant, answer_share as answer_share, best_constant as best_constant
from ._label_specific import (
    LabelSpecific as LabelSpecific,
    share_kept as share_kept,
    sim_aou_labels as sim_aou_labels,
)
from ._reliability import (
    Reliability as Reliability,
    debiased_ece2 as debiased_ece2,
    macro_f1 as macro_f1,
    reliability as reliability,
)
from ._shift import (
    displacement as displacement,
    linear_cka as linear_cka,
    shift_cosine as shift_cosine,
    shift_size as shift_size,
)
from ._similarity import (
    attention_similarity as attention_similarity,
    closed_form_null as closed_form_null,
    n_masked as n_masked,
    null_closed_form as null_closed_form,
    sim_am as sim_am,
    sim_am_direction as sim_am_direction,
    sim_aou as sim_aou,
    sim_aou_direction as sim_aou_direction,
)
from ._states import TOLERANCE as TOLERANCE, AnalysisError as AnalysisError
from ._training_tokens import (
    demonstration_of_token as demonstration_of_token,
    ft_training_attention as ft_training_attention,
    icl_training_attention as icl_training_attention,
    kendall as kendall,
    per_demonstration as per_demonstration,
    top_k_recall as top_k_recall,
)
