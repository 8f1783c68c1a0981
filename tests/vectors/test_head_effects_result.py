"""Rankings, membership and screening of hand-made effects, and their file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import iclmech as icl
from iclmech._base import ICLMechError, provenance
from iclmech.vectors import HeadEffects


def made(cie, estimate=None, verified=None, random=None, n=2, demonstrations=None):
    """Effects [query, layer, head] as a result; NaN where not verified."""
    cie = np.asarray(cie, dtype=float)
    shape = cie.shape[1:]
    verified = np.ones(shape, dtype=np.int8) if verified is None else np.asarray(verified, dtype=np.int8)
    random = np.zeros(shape, dtype=np.int8) if random is None else np.asarray(random, dtype=np.int8)
    dims = ("query", "layer", "head")
    estimate = np.full(cie.shape, np.nan) if estimate is None else np.asarray(estimate, dtype=float)
    data = xr.Dataset(
        {
            "cie": (dims, np.where(verified != 0, cie, np.nan)), "cie_log": (dims, cie), "estimate": (dims, estimate),
            "estimate_log": (dims, estimate), "verified": (dims[1:], verified), "random": (dims[1:], random),
            "probability": (("setting", "query"), np.full((2, len(cie)), 0.5)),
            "first": (("setting", "query"), np.ones((2, len(cie)), dtype=np.int8)),
            "demonstrations": (("query",), np.arange(len(cie)) if demonstrations is None else demonstrations),
        },
        {"setting": ["icl", "corrupted"], "query": range(len(cie)), "layer": range(shape[0]), "head": range(shape[1])},
    )  # fmt: skip
    return HeadEffects(data, provenance=provenance(n=n, model={"name": "m"}, task={"name": "t"}))


def test_signs_are_kept():
    found = made([[[0.3, -0.5], [0.1, 0.2]]] * 4, n=3)
    assert found.top(2) == [(0, 0), (1, 1)]
    assert found.top() == [(0, 0), (1, 1), (1, 0)]
    assert found.writers(4) == [(0, 0), (1, 1), (1, 0)]
    assert found.cancellers(4) == [(0, 1)]
    torch.testing.assert_close(found.aie, torch.tensor([[0.3, -0.5], [0.1, 0.2]], dtype=torch.float64))


def test_only_verified_heads_are_named_and_the_others_keep_their_estimate():
    estimate = [[[0.1, 0.9], [0.2, 0.3]]] * 3
    found = made([[[0.3, 0.0], [0.1, 0.2]]] * 3, estimate, verified=[[1, 0], [1, 0]])
    assert found.top(2) == [(0, 0), (1, 0)]
    assert float(found.aie[0, 1]) == pytest.approx(0.9)
    assert float(found.membership(1)[0, 1]) == 0
    with pytest.raises(ICLMechError, match="got n=3; 2 heads were run exactly"):
        found.top(3)


def test_membership_counts_how_often_a_head_is_on_top():
    """Head 0 always leads; heads 1 and 2 have one good prompt of two each, so each is second in half of the even draws."""
    values = np.zeros((2, 1, 3))
    values[:, 0, 0], values[0, 0, 1], values[1, 0, 2] = 1.0, 0.5, 0.5
    share = made(values).membership(2, n_boot=4000)[0]
    assert float(share[0]) == 1
    assert float(share.sum()) == pytest.approx(2)
    # both prompts: a quarter each is drawn twice; one of each (half): a tie, which the lower number wins
    assert float(share[1]) == pytest.approx(0.75, abs=0.03)


def test_demonstration_sets_are_resampled_whole():
    """Queries of one set agree, so that a bootstrap over queries would be too sure of the mean."""
    values = np.repeat([0.0, 1.0], 50)[:, None, None]
    sets = np.repeat([0, 1], 50)
    low, high = made(values, n=1, demonstrations=sets).interval()
    assert (float(low), float(high)) == (0, 1)
    low, high = made(values, n=1).interval()
    assert 0.3 < float(low) < 0.5 < float(high) < 0.7


def test_screening_tells_what_the_estimate_missed():
    cie = [[[0.4, 0.3, -0.6], [0.1, 0.35, 0.0]]] * 3
    estimate = [[[0.5, 0.4, -0.1], [0.1, 0.05, 0.0]]] * 3
    found = made(cie, estimate, verified=[[1, 1, 1], [1, 1, 0]], random=[[0, 0, 1], [0, 1, 0]]).screening()
    assert found["recall"] == 0.5  # the estimate puts (0, 1) in the place of (1, 1)
    assert found["largest_other"] == pytest.approx(0.6)
    assert found["share_above"] == pytest.approx(1 - 0.05**0.5)
    assert made(cie).screening() == {}


def test_heads_that_are_good_by_luck_on_one_half_do_not_hold_on_the_other():
    generator = np.random.default_rng(0)
    noise = made(generator.normal(size=(40, 4, 8)), n=1).judged()[0]
    assert noise.verdict != "holds"
    real = generator.normal(size=(40, 4, 8))
    real[:, 2, 3] += 3
    claim = made(real, n=1).judged()[0]
    assert claim.verdict == "holds"
    assert 2 < claim.measured < 4


def test_a_saved_one_is_the_same(tmp_path):
    found = made([[[0.3, -0.5], [0.1, 0.2]]] * 4)
    again = icl.load(found.save(tmp_path / "effects.nc"))
    assert isinstance(again, HeadEffects)
    assert again.top() == found.top()
    assert torch.equal(again.cie, found.cie)
    assert list(again.summary()["head"]) == [0, 1, 0, 1]
