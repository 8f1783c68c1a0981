"""Interventions: changes to a forward pass, composable, usable with gradients."""

from __future__ import annotations

from ._attention_edits import (
    AttentionEdit as AttentionEdit,
    LayerEdit as LayerEdit,
    all_split as all_split,
    attention_way as attention_way,
    specs_of as specs_of,
)
from ._cut import (
    Control as Control,
    CutEdges as CutEdges,
    CutMeter as CutMeter,
    cut_edges as cut_edges,
    parse_edges as parse_edges,
)
from ._edges import EdgeRows as EdgeRows, EdgeSet as EdgeSet, PositionEdges as PositionEdges, RoleEdges as RoleEdges
from ._pass_layout import (
    Intervention as Intervention,
    InterventionError as InterventionError,
    Layout as Layout,
    Spec as Spec,
)
from ._place import placed as placed
from ._state_edits import (
    EditSite as EditSite,
    ReplacePattern as ReplacePattern,
    add as add,
    graft as graft,
    replace as replace,
    replace_pattern as replace_pattern,
    scale as scale,
    zero as zero,
)
from ._token_roles import ROLE_NAMES as ROLE_NAMES, RoleTable as RoleTable, TokenRoles as TokenRoles
