"""Putting weights back, all that can be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def write_back(saved: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Copy every (tensor, original) back. A tensor that fails is tried once more, and keeps none of the others from it;
    the first failure is raised when all is done."""
    failed: BaseException | None = None
    for tensor, original in saved:
        for _ in range(2):
            try:
                tensor.copy_(original)
                break
            except BaseException as error:  # an interrupt, too, waits for the others
                failed = failed or error
    if failed is not None:
        raise failed
