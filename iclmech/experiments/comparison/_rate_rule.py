"""The rule for a learning rate, as a pure function of what every rate does on held-out examples.

The lowest held-out likelihood over a whole grid is a wrong rule: beyond the edge of stability the loss comes down again on a
model that is wrecked. So the rates are walked upwards from the smallest, and the walk ends where the model breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TEXT_LOST = 2.0
"""Nats per token that held-out input texts may become less likely.

Set once, on trec with SmolLM2-135M and on two tasks with icl-mini: at the rates that still teach, texts lose up to 1.7 nats, since
label words become likelier everywhere; at the first rate on a wrecked model they lose 3.1 and more.
"""
LARGEST_NORM = 0.1
"""‖ΔW‖/‖W‖ of a change that is no small step any more: SmolLM2-135M is wrecked at .004 to .15, icl-mini learns up to .06."""
CLEARLY = 0.05
"""Nats by which a label likelihood is clearly worse, however many examples there are."""


@dataclass(frozen=True)
class HeldOut:
    """What one setting does on the held-out examples, those of all draws one behind the other.

    Attributes:
        nll: Float[ndarray, "example"], -log p of the right answer in nats per token.
        correct: Float[ndarray, "example"], 1 where it is answered rightly; NaN for free text.
        conditional: Float[ndarray, "example"], the part of `nll` among the label words; the rest is their mass.
        text_nll: nats per token of held-out input texts; NaN where there are none.
        relative_norm: ‖ΔW‖/‖W‖.
        displacement: 1 - cos(attn_out, zero-shot attn_out), mean over layers.
    """

    nll: np.ndarray
    correct: np.ndarray
    conditional: np.ndarray
    text_nll: float = np.nan
    relative_norm: float = 0.0
    displacement: float = np.nan

    @property
    def loss(self) -> float:
        """Mean of `nll`."""
        return float(np.nanmean(self.nll)) if np.isfinite(self.nll).any() else np.nan

    @property
    def accuracy(self) -> float:
        """Mean of `correct`; NaN for free text."""
        return float(np.nanmean(self.correct)) if np.isfinite(self.correct).any() else np.nan

    @property
    def among(self) -> float:
        """Mean of `conditional`; NaN for free text."""
        return float(np.nanmean(self.conditional)) if np.isfinite(self.conditional).any() else np.nan

    @property
    def mass(self) -> float:
        """Mean of -log(mass on the label words); NaN for free text."""
        return self.loss - self.among


@dataclass(frozen=True)
class Choice:
    """What the rule says of one update.

    Attributes:
        best: position of the chosen rate; None where every rate is refused.
        refused: for each rate that was walked the reason why it is refused, or "".
        end: position of the rate at which the walk ended; None where it ran off the grid.
        helps: whether the chosen rate makes the labels likelier than zero-shot.
        format_only: whether it taught no more than which words are labels.
        edge: "low" or "high" where the lowest loss lies at an end of what was walked and nothing broke there.
    """

    best: int | None
    refused: tuple[str, ...]
    end: int | None
    helps: bool
    format_only: bool
    edge: str


def standard_error(values: np.ndarray) -> float:
    """Of a mean over examples, NaN left out; 0 for fewer than two."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else 0.0


def refusal(zero: HeldOut, at: HeldOut | None) -> str:
    """Why a rate is refused, or "": the model diverges, forgets what it could, or has been changed too much.

    Accuracy is held against zero-shot with the larger of two standard errors, of the accuracy itself and of the paired
    difference, so that two flipped answers at a tiny rate do not end the walk.

    >>> import numpy as np
    >>> ones = np.ones(20)
    >>> refusal(HeldOut(ones, ones, ones), HeldOut(ones, ones * 0, ones))
    'held-out accuracy 0.00, zero-shot 1.00'
    >>> refusal(HeldOut(ones, ones, ones), HeldOut(ones, ones, ones, relative_norm=0.2))
    '‖ΔW‖/‖W‖ is 0.2'
    """
    if at is None or not np.isfinite(at.loss):
        return "it diverges"
    error = max(standard_error(zero.correct), standard_error(at.correct - zero.correct))
    if zero.accuracy - at.accuracy > error:
        return f"held-out accuracy {at.accuracy:.2f}, zero-shot {zero.accuracy:.2f}"
    if at.text_nll - zero.text_nll > TEXT_LOST:
        return f"held-out texts cost {at.text_nll - zero.text_nll:.2g} nats per token more"
    if at.relative_norm > LARGEST_NORM:
        return f"‖ΔW‖/‖W‖ is {at.relative_norm:.2g}"
    return ""


def end_of_walk(zero: HeldOut, walked: Sequence[HeldOut | None]) -> int | None:
    """Position of the rate at which the walk ends: a refused one, or the second in a row that is clearly worse than the best."""
    best: HeldOut | None = None
    worse = 0
    for i, at in enumerate(walked):
        if at is None or refusal(zero, at):
            return i
        if best is None or at.loss < best.loss:
            best, worse = at, 0
            continue
        margin = max(2 * standard_error(at.nll - best.nll), CLEARLY)
        worse = worse + 1 if at.loss - best.loss > margin else 0
        if worse == 2:
            return i
    return None


def choose(zero: HeldOut, walked: Sequence[HeldOut | None], prior_entropy: float = np.nan) -> Choice:
    """The rate with the lowest held-out loss before the walk ends.

    Where none makes the labels likelier than zero-shot, the largest that is not refused.

    Args:
        zero: the zero-shot setting.
        walked: what each rate does, from the smallest upwards; None where it diverges.
        prior_entropy: nats, of the labels of the training examples: at or above it a conditional part teaches nothing.

    >>> import numpy as np
    >>> held = [HeldOut(np.full(9, x), np.full(9, 0.5), np.full(9, 0.1)) for x in (2.0, 1.0, 3.0, 3.1, 0.1)]
    >>> choose(held[0], held[1:]).best  # not the last, beyond the end of the walk
    0
    """
    end = end_of_walk(zero, walked)
    reach = walked[: len(walked) if end is None else end + 1]
    refused = tuple(refusal(zero, at) for at in walked)
    sane = [(i, at) for i, at in enumerate(reach) if at is not None and not refused[i]]
    if not sane:
        return Choice(None, refused, end, False, False, "low")
    best, found = min(sane, key=lambda pair: pair[1].loss)
    helps = found.loss < zero.loss
    edge = "low" if best == 0 and helps else "high" if best == len(walked) - 1 and end is None else ""
    if not helps:
        best, found = sane[-1]
        edge = "high" if end is None else ""
    return Choice(best, refused, end, helps, bool(found.among >= prior_entropy), edge)
