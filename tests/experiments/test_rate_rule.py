"""The rule for a learning rate, on planted curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iclmech.experiments.comparison._rate_rule import HeldOut, choose, end_of_walk, refusal

N = 192


def held(nll: float, accuracy: float = 0.41, norm: float = 0.01, text: float = 3.0, among: float = 0.5) -> HeldOut:
    correct = (np.arange(N) < round(accuracy * N)).astype(float)
    wiggle = 0.2 * np.cos(np.arange(N))
    return HeldOut(nll + wiggle - wiggle.mean(), correct, np.full(N, among), text, norm)


ZERO = held(7.35, 0.41, 0.0)


def curve(losses: Sequence[float], accuracy: Sequence[float], norms: Sequence[float]) -> list[HeldOut]:
    return [held(*row) for row in zip(losses, accuracy, norms, strict=True)]


# Layer-causal descent on SmolLM2-135M and trec, 1e-4 to 1, two rates a decade: lowest at the end, on a wrecked model.
WRECKED = [7.30, 6.81, 6.65, 8.31, 11.9, 8.60, 12.3, 9.52, 6.49]
FALLING = [0.41, 0.42, 0.43, 0.30, 0.2, 0.2, 0.16, 0.16, 0.16]
GROWING = [1e-4, 3e-4, 1e-3, 4e-3, 0.01, 0.04, 0.1, 0.2, 0.37]


def test_a_loss_that_comes_down_again_on_a_wrecked_model_is_not_taken() -> None:
    choice = choose(ZERO, curve(WRECKED, FALLING, GROWING))
    assert int(np.argmin(WRECKED)) == 8
    assert (choice.best, choice.end) == (2, 3)
    assert choice.helps
    assert choice.edge == ""
    assert all(choice.refused[3:])


def test_a_wrecked_model_is_not_taken_when_only_its_norm_tells() -> None:
    choice = choose(ZERO, curve([7.0, 6.9, 6.0], [0.41] * 3, [0.01, 0.05, 0.37]))
    assert choice.best == 1
    assert choice.refused[2] == "‖ΔW‖/‖W‖ is 0.37"


def test_a_wrecked_model_is_not_taken_when_only_its_texts_tell() -> None:
    walked = [held(7.0), held(6.9, text=4.9), held(6.0, text=6.1)]
    assert choose(ZERO, walked).best == 1
    assert "3.1 nats" in choose(ZERO, walked).refused[2]


def test_two_rates_in_a_row_that_are_clearly_worse_end_the_walk() -> None:
    losses = [7.0, 5.3, 4.42, 6.0, 6.1, 4.0]
    walked = curve(losses, [0.5] * 6, [0.01] * 6)
    assert end_of_walk(ZERO, walked) == 4
    assert choose(ZERO, walked).best == 2


def test_one_worse_rate_alone_does_not_end_the_walk() -> None:
    losses = [7.0, 5.3, 6.0, 5.0, 5.02, 5.01]
    walked = curve(losses, [0.5] * 6, [0.01] * 6)
    assert end_of_walk(ZERO, walked) is None
    assert choose(ZERO, walked).best == 3


def test_a_rise_within_its_error_is_no_rise() -> None:
    noise = 4 * np.sin(np.arange(N) * 1.7)
    noisy = HeldOut(held(5.2).nll + noise - noise.mean(), held(5).correct, np.full(N, 0.5), 3.0, 0.01)
    assert end_of_walk(ZERO, [held(5.0), noisy, noisy]) is None
    assert end_of_walk(ZERO, [held(5.0), held(5.2), held(5.2)]) == 2


def test_a_lowest_loss_at_an_end_of_the_grid_is_told() -> None:
    assert choose(ZERO, curve([7.0, 6.5, 6.0], [0.41] * 3, [0.01] * 3)).edge == "high"
    assert choose(ZERO, curve([6.0, 6.5, 6.8], [0.41] * 3, [0.01] * 3)).edge == "low"
    assert choose(ZERO, [None, None]).edge == "low"
    assert choose(ZERO, [None, None]).best is None


def test_where_nothing_helps_the_largest_sane_rate_is_compared() -> None:
    choice = choose(ZERO, curve([7.4, 7.41, 7.42, 9.0], [0.41, 0.41, 0.41, 0.1], [0.01] * 4))
    assert (choice.best, choice.helps, choice.edge) == (2, False, "")
    open_end = choose(ZERO, curve([7.36, 7.37, 7.38], [0.41] * 3, [0.01] * 3))
    assert (open_end.best, open_end.helps, open_end.edge) == (2, False, "high")


def test_a_format_is_not_a_task() -> None:
    entropy = float(np.log(6))
    taught = [held(1.9, among=1.85)]  # likelier labels, and none of it tells them apart
    assert choose(ZERO, taught, entropy).format_only
    assert not choose(ZERO, [held(1.9, among=1.5)], entropy).format_only
    assert held(1.9, among=1.5).mass + 1.5 == held(1.9).loss


def test_refusals() -> None:
    assert refusal(ZERO, held(6.0)) == ""
    assert refusal(ZERO, None) == refusal(ZERO, held(np.nan)) == "it diverges"
    assert refusal(ZERO, held(6.0, accuracy=0.40)) == ""  # within the error of .035
    assert refusal(ZERO, held(6.0, accuracy=0.35)).startswith("held-out accuracy 0.35")
    free = HeldOut(np.ones(4), np.full(4, np.nan), np.full(4, np.nan))
    assert refusal(free, free) == ""
