from __future__ import annotations

import pytest
import torch

from iclmech.updates._restore import write_back


class Failing(torch.Tensor):
    """A tensor whose first writes fail."""

    errors: list[BaseException] = []

    def copy_(self, source: torch.Tensor) -> torch.Tensor:
        if type(self).errors:
            raise type(self).errors.pop()
        return super().copy_(source)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("times", [1, 2])
def test_one_tensor_that_fails_keeps_none_of_the_others(error, times):
    """It is tried twice; the error comes when all is done."""
    first, second, last = torch.zeros(2), torch.zeros(2).as_subclass(Failing), torch.zeros(2)
    Failing.errors = [error() for _ in range(times)]
    saved = [(tensor, torch.full((2,), float(i))) for i, tensor in enumerate((first, second, last), 1)]
    with pytest.raises(error):
        write_back(saved)
    assert first.tolist() == [1, 1]
    assert second.tolist() == ([2, 2] if times == 1 else [0, 0])
    assert last.tolist() == [3, 3]
