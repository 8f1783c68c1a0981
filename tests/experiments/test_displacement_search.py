"""The scale at which a displacement is reached: smallest, bracketed, or not there."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech.experiments.comparison._displacement_search import CLOSE, smallest_scales


def test_each_draw_has_its_own_scale() -> None:
    stiff = np.array([1.0, 7.0, 30.0])
    scales, reached = smallest_scales(0.4, lambda s: (s / stiff) ** 2 / (1 + (s / stiff) ** 2), 3)
    assert reached.all()
    np.testing.assert_allclose(scales, stiff * np.sqrt(0.4 / 0.6), rtol=0.02)


def test_the_smallest_of_several_scales_is_taken() -> None:
    # up through the aim near 2.1, down again near 11.9, up once more near 33
    scales, reached = smallest_scales(0.5, lambda s: np.interp(s, [0, 4, 14, 40], [0.05, 0.9, 0.1, 0.7]), 1)
    assert reached.all()
    assert scales[0] == pytest.approx(4 * 0.45 / 0.85, rel=0.03)


def test_what_saturates_below_the_aim_is_not_reached() -> None:
    scales, reached = smallest_scales(0.9, lambda s: 0.6 * s**2 / (s**2 + 4), 2)
    assert not reached.any()
    assert (scales == 1024).all()


def test_less_than_the_norm_of_the_update_may_be_enough() -> None:
    scales, reached = smallest_scales(0.5, lambda s: 0.1 + 0.8 * s, 1)
    assert reached.all()
    assert scales[0] == pytest.approx(0.5, rel=0.03)


def test_where_lower_layers_alone_move_further_nothing_is_reached() -> None:
    scales, reached = smallest_scales(0.2, lambda s: 0.5 + 0.1 * s, 1)
    assert not reached.any()
    assert scales[0] == 0


def test_an_update_that_moves_nothing_is_matched_by_nothing() -> None:
    scales, reached = smallest_scales(0.0, lambda s: s, 1)
    assert (scales[0], reached[0]) == (0, True)
    assert not smallest_scales(float("nan"), lambda s: s, 1)[1].any()


def test_few_tries_are_needed() -> None:
    calls: list[np.ndarray] = []

    def moved(scales: np.ndarray) -> np.ndarray:
        calls.append(scales)
        return scales**2 / (scales**2 + 50)

    scales, reached = smallest_scales(0.35, moved, 1)
    assert reached.all()
    assert abs(moved(scales)[0] / 0.35 - 1) <= CLOSE
    assert len(calls) <= 9
