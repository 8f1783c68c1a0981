"""What a loss makes of the logits: a term for every position where it reads, of which the mean is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import UpdateError, tensor_digest

Readout = int | Sequence[int] | Tensor | Callable[[Tensor], Tensor]
"""Numbers read off logits: a token, tokens, a direction [d_vocab] or directions [d_vocab, number], or a function."""


@runtime_checkable
class PositionLoss(Protocol):
    """A loss of one training sequence, as terms of single positions: any function of this signature.

    Terms instead of a sum, so that logits need not be there all at once, and so that layers and learning rates can be
    read together.
    """

    def __call__(self, logits: Float[Tensor, "row d_vocab"], index: Int[Tensor, "row"]) -> Float[Tensor, "row"]:
        """One term per row; `index[r]`: which of the sample's positions row r is read at. Logits in at least float32."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Negative log-likelihood of one token per position, in nats; see `cross_entropy`."""

    targets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.targets)

    def __call__(self, logits: Float[Tensor, "row d_vocab"], index: Int[Tensor, "row"]) -> Float[Tensor, "row"]:
        targets = torch.tensor(self.targets, device=logits.device)[index]
        return F.cross_entropy(logits, targets, reduction="none")

    def content(self) -> Any:
        """What tells it from others, for a hash."""
        return ["cross_entropy", list(self.targets)]


@dataclass(frozen=True, eq=False)
class SquaredError:
    """Squared distance of numbers from targets, mean over the numbers of a position; see `squared_error`."""

    targets: Float[Tensor, "position number"]
    readout: Readout

    def __len__(self) -> int:
        return len(self.targets)

    def __call__(self, logits: Float[Tensor, "row d_vocab"], index: Int[Tensor, "row"]) -> Float[Tensor, "row"]:
        numbers = read_numbers(logits, self.readout)
        targets = self.targets.to(numbers)[index]
        if numbers.shape != targets.shape:
            raise UpdateError(
                f"the readout gives {numbers.shape[-1]} numbers per position and there are {targets.shape[-1]} targets; "
                "give as many targets [position, number] as the readout gives numbers."
            )
        return (numbers - targets).square().mean(-1)

    def content(self) -> Any:
        """What tells it from others, for a hash; of a function its name alone."""
        return ["squared_error", tensor_digest(self.targets), _content(self.readout)]


def cross_entropy(targets: Sequence[int]) -> CrossEntropy:
    """The loss of a `Sample` that is to predict `targets[i]` at its i-th position: negative log-likelihood in nats.

    Example:
        >>> cross_entropy([1])(torch.zeros(1, 4), torch.tensor([0])).exp()
        tensor([4.])
    """
    return CrossEntropy(tuple(int(target) for target in targets))


def squared_error(
    targets: Sequence[float] | Float[Tensor, "position"] | Float[Tensor, "position number"], readout: Readout
) -> SquaredError:
    """The loss of a `Sample` that is to give numbers: (number − target)², mean over numbers and positions.

    Args:
        targets: what is to be read at each position of the sample: a number, or a row of them.
        readout: how numbers are read off the logits: an int (the logit of that token), a sequence of them (a number
            each), a fixed direction `[d_vocab]` or directions `[d_vocab, number]` of the vocabulary, whose products with
            the logits are the numbers, or a function of logits `[row, d_vocab]` that returns `[row]` or `[row, number]`.

    Returns:
        The loss, for `Sample(inputs, positions, loss)`.

    Raises:
        UpdateError: targets that are not finite, or neither one nor two-dimensional; when the loss is taken, another
            number of targets than the readout gives.

    Example:
        >>> loss = squared_error([1.0, 3.0], readout=2)  # the logit of token 2 is to be 1, then 3
        >>> loss(torch.zeros(2, 5), torch.tensor([0, 1]))
        tensor([1., 9.])
    """
    wanted = torch.as_tensor(targets).detach()
    wanted = wanted.to(torch.promote_types(wanted.dtype, torch.float32))
    if wanted.ndim not in (1, 2) or not bool(wanted.isfinite().all()):
        raise UpdateError(
            f"got targets of shape {tuple(wanted.shape)}; expected finite numbers [position] or [position, number]."
        )
    return SquaredError(wanted[:, None] if wanted.ndim == 1 else wanted, readout)


def read_numbers(logits: Float[Tensor, "row d_vocab"], readout: Readout) -> Float[Tensor, "row number"]:
    """The numbers that a readout (see `squared_error`) makes of logits."""
    if isinstance(readout, Tensor):
        numbers = logits @ readout.to(logits)
    elif callable(readout):
        numbers = readout(logits)
    else:
        numbers = logits[:, [readout] if isinstance(readout, int) else list(readout)]
    return numbers[:, None] if numbers.ndim == 1 else numbers


def content_of(loss: PositionLoss) -> Any:
    """What tells a loss from others, for a hash: its own `content()`, or the name of a function."""
    content = getattr(loss, "content", None)
    return content() if callable(content) else _content(loss)


def _content(readout: Any) -> Any:
    if isinstance(readout, Tensor):
        return tensor_digest(readout)
    if callable(readout):
        return f"custom:{getattr(readout, '__qualname__', type(readout).__qualname__)}"
    return readout if isinstance(readout, int) else list(readout)
