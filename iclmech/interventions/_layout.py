"""What an intervention is told about a forward pass, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iclmech.models import HookFn, ICLModel


@dataclass(frozen=True)
class Layout:
    """Where things stand in the tensors of a forward pass: `prefix` tokens first, then each row's own, padded right."""

    prefix: int
    lengths: tuple[int, ...]  # own tokens of each row
    index: tuple[int, ...]  # which of the rows of the whole run each row is


Intervention = Callable[[ICLModel, Layout], Sequence[tuple[str, int, HookFn]]]
"""What changes a forward pass: a function of the model and the layout that returns hooks (site, layer, function)."""
