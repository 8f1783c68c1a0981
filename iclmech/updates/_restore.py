"""Copying saved weights back so that nothing, not even a second Ctrl-C, leaves half of them behind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def write_back(saved: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Copy every (tensor, original) back. A Ctrl-C that falls in here starts afresh and is raised when all is done."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            for tensor, original in saved:
                tensor.copy_(original)
            break
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
