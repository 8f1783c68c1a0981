from __future__ import annotations

import pytest
import torch

from iclmech.updates._restore import finish, write_back


class Interrupted(torch.Tensor):
    """A tensor that a Ctrl-C reaches the first time it is written to."""

    calls = 0

    def copy_(self, source: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        if type(self).calls == 1:
            raise KeyboardInterrupt
        return super().copy_(source)


def test_an_interrupt_while_restoring_waits_until_all_is_restored():
    first, second, last = torch.zeros(2), torch.zeros(2).as_subclass(Interrupted), torch.zeros(2)
    saved = [(tensor, torch.full((2,), float(i))) for i, tensor in enumerate((first, second, last), 1)]
    with pytest.raises(KeyboardInterrupt):
        finish(lambda: write_back(saved))
    assert first.tolist() == [1, 1]
    assert second.tolist() == [2, 2]
    assert last.tolist() == [3, 3]
    assert Interrupted.calls == 2
