"""Interventions put in force: the hooks of several of them together, and what they allow a pass to leave out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iclmech._base import Guard
from iclmech.models import ICLModel

from ._attention_edits import AttentionEdit, LayerEdit, attention_way, chain_specs
from ._pass_layout import Intervention, Layout, Spec
from ._state_edits import EditSite


def specs_of(model: ICLModel, layout: Layout, interventions: Iterable[Intervention]) -> list[Spec]:
    """Hooks for all interventions together: attention edits first, merged layer by layer, then the others in order."""
    edits: list[LayerEdit] = []
    others: list[Spec] = []
    for change in interventions:
        if isinstance(change, AttentionEdit):
            edits += change.edits(model, layout)
        else:
            others += change(model, layout)
    return [*(chain_specs(model, edits, attention_way(model)) if edits else []), *others]


def all_split(model: ICLModel, interventions: Sequence[Intervention], shortest: int = 0) -> bool:
    """Whether a shared prefix may be encoded once under these interventions, before rows of `shortest` tokens or more."""

    def splits(change: Intervention) -> bool:
        if isinstance(change, EditSite):
            return change.splits(model, shortest)
        return bool(getattr(change, "splits", lambda _: False)(model))

    return all(splits(change) for change in interventions)


def placed(model: ICLModel, interventions: Sequence[Intervention], rows: Sequence[Sequence[int]]) -> Guard:
    """Put interventions in force for the length of a `with` block, around `model.forward` of exactly these rows of ids.

    `capture(..., interventions=...)` does this itself; here is the same for a pass of your own, with or without gradients.
    Edits that go by roles need `prompts=` here.
    """
    rows = [tuple(row) for row in rows]
    n = len(rows)
    layout = Layout(0, tuple(map(len, rows)), tuple(range(n)), (), tuple(rows), (None,) * n)
    return model.hooks(specs_of(model, layout, interventions))
