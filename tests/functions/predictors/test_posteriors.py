"""Posteriors as predictors: a pool's, a wrong prior's, all hypotheses that fit."""

from __future__ import annotations

import pytest
import torch

from iclmech.functions import Conjunctions, FunctionError, LinearRegression, SparseRegression, TaskPool, predictors


def test_dmmse_is_the_softmax_over_tasks_and_starts_at_the_mean_of_the_pool():
    pool = TaskPool(LinearRegression(d=3, noise=0.5), n_tasks=8)
    prompts = pool.prompts(16, 6, 0)
    found = predictors.dmmse(prompts)
    for n in range(6):
        error = prompts.y[:, :n, None] - prompts.x[:, :n] @ pool.weights.T
        share = (-error.square().sum(dim=1) / 0.5).softmax(dim=-1)
        assert (found[:, n] - (prompts.x[:, n] * (share @ pool.weights)).sum(dim=-1)).abs().max() < 1e-10
    fresh = pool.base.prompts(16, 6, 1)
    assert torch.equal(predictors.dmmse(fresh, pool), pool.bayes(fresh))


def test_a_wrong_prior_loses():
    family = SparseRegression(d=8, nonzero=2, noise=0.2)
    prompts = family.prompts(500, 8, 2)
    right, wrong = predictors.bayes(prompts), predictors.bayes(prompts, LinearRegression(d=8, noise=0.2))
    assert (right - prompts.clean).square().mean() < 0.75 * (wrong - prompts.clean).square().mean()


def test_consistent_hypotheses_agree_with_every_pair_seen():
    prompts = Conjunctions(d=3).prompts(16, 8, 3)
    found = predictors.consistent(prompts)
    table, prior = prompts.family.table(), prompts.family.log_prior().exp()
    for p in range(16):
        holds = torch.stack([(table * x).min(dim=-1).values >= 0 for x in prompts.x[p]], dim=1).double()
        for n in range(8):
            fits = (holds[:, :n] == prompts.y[p, :n]).all(dim=1)
            assert abs(float(found[p, n] - (prior * fits * holds[:, n]).sum() / (prior * fits).sum())) < 1e-10


def test_what_has_no_pool_or_no_hypotheses_is_refused():
    prompts = LinearRegression().prompts(2, 3)
    with pytest.raises(FunctionError, match="no pool"):
        predictors.dmmse(prompts)
    with pytest.raises(FunctionError, match="expected Conjunctions"):
        predictors.consistent(prompts)
