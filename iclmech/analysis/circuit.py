"""Measures of circuits, as `icl.circuit`: attention by role, induction, assignment, decomposition, the dual form."""

from __future__ import annotations

from ._circuit_measures import (
    assigned as assigned,
    copy_magnitude as copy_magnitude,
    correct_induction as correct_induction,
    cosine_weights as cosine_weights,
    forerunner_heads as forerunner_heads,
    induction_magnitude as induction_magnitude,
    induction_strength as induction_strength,
    label_attention as label_attention,
    qk_weights as qk_weights,
    vote as vote,
)
from ._decompose import (
    attention_by_head as attention_by_head,
    component_shares as component_shares,
    head_shares as head_shares,
    label_trajectory as label_trajectory,
    subspace_overlap as subspace_overlap,
)
from ._dual import (
    compare_maps as compare_maps,
    keys_and_values as keys_and_values,
    momentum_attention as momentum_attention,
    softmax_decomposition as softmax_decomposition,
    update_in_dual_form as update_in_dual_form,
    virtual_update as virtual_update,
)
from ._geometry import (
    centroid_hits as centroid_hits,
    kernel_alignment as kernel_alignment,
    neighbour_purity as neighbour_purity,
    purity_chance as purity_chance,
)
from ._induction import copying as copying, prefix_matching as prefix_matching
from ._role_mass import (
    ALLOCATION as ALLOCATION,
    MASS_ROLES as MASS_ROLES,
    allocation as allocation,
    context_share as context_share,
    head_table as head_table,
    role_mass as role_mass,
)
