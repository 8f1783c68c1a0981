"""Interventions: changes to a forward pass, composable, usable with gradients."""

from __future__ import annotations

from ._attention_edits import (
    AttentionEdit as AttentionEdit,
    LayerEdit as LayerEdit,
    attention_way as attention_way,
)
from ._cut import (
    Control as Control,
    CutEdges as CutEdges,
    CutMeter as CutMeter,
    cut_edges as cut_edges,
    parse_edges as parse_edges,
    scale_edges as scale_edges,
)
from ._edges import EdgeRows as EdgeRows, EdgeSet as EdgeSet, PositionEdges as PositionEdges, RoleEdges as RoleEdges
from ._errors import InterventionError as InterventionError
from ._function_edit import change as change
from ._in_force import all_split as all_split, placed as placed, specs_of as specs_of
from ._momentum import MomentumAttention as MomentumAttention, momentum_attention as momentum_attention
from ._pass_layout import Intervention as Intervention, Layout as Layout, Spec as Spec
from ._replaced_pattern import ReplacePattern as ReplacePattern, replace_pattern as replace_pattern
from ._standing import (
    hooks_aside as hooks_aside,
    standing as standing,
    standing_edits as standing_edits,
    standing_handles as standing_handles,
    standing_names as standing_names,
)
from ._state_edits import (
    EditSite as EditSite,
    StateEdit as StateEdit,
    add as add,
    graft as graft,
    replace as replace,
    scale as scale,
    zero as zero,
)
from ._token_roles import ROLE_NAMES as ROLE_NAMES, RoleTable as RoleTable, TokenRoles as TokenRoles
