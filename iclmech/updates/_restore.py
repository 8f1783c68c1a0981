"""Putting things back so that nothing, not even a second Ctrl-C, leaves half of them behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def finish(action: Callable[[], None]) -> None:
    """Run `action` to its end. A Ctrl-C that falls in starts it afresh, and is raised when all is done.

    `action` must do no harm when it is repeated after any part of it has run.
    """
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            action()
            break
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


@torch.no_grad()
def write_back(saved: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Copy every (tensor, original) back."""
    for tensor, original in saved:
        tensor.copy_(original)
