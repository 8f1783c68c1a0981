"""Interventions around a plain forward pass of the user's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from iclmech.models import ICLModel

from ._attention_edits import specs_of
from ._pass_layout import Intervention, Layout


@contextlib.contextmanager
def placed(model: ICLModel, interventions: Sequence[Intervention], rows: Sequence[Sequence[int]]) -> Iterator[None]:
    """Put interventions in force for the length of a `with` block, around `model.forward` of exactly these rows of ids.

    `capture(..., interventions=...)` does this itself; here is the same for a pass of your own, with or without gradients.
    """
    rows = [tuple(row) for row in rows]
    n = len(rows)
    layout = Layout(0, tuple(map(len, rows)), tuple(range(n)), (), tuple(rows), (None,) * n)
    with model.hooks(specs_of(model, layout, interventions)):
        yield
