"""Exact Bayes for mixtures of Gaussians: identities that tie it to other formulas."""

from __future__ import annotations

import math

import pytest
import torch

from iclmech.functions import GaussianMixture, LinearRegression, Mixture, SparseRegression, TaskPool
from iclmech.functions._gaussian_posterior import gaussian_posterior


def test_one_gaussian_is_ridge_with_the_variance_of_the_noise():
    prompts = LinearRegression(d=5, noise=0.5).prompts(64, 12, 1)
    found = prompts.family.bayes(prompts)
    for n in range(12):
        x, y = prompts.x[:, :n], prompts.y[:, :n, None]
        w = torch.linalg.solve(x.mT @ x + 0.25 * torch.eye(5, dtype=torch.float64), x.mT @ y)
        assert (found[:, n] - (prompts.x[:, n, None] @ w)[:, 0, 0]).abs().max() < 1e-10


def test_the_evidence_of_a_row_is_its_joint_density():
    family = LinearRegression(d=3, noise=0.4, mean=(1.0, 0.0, -2.0), scale=(0.5, 1.0, 2.0))
    prompts = family.prompts(32, 9, 2)
    chain = family.posterior(prompts).log_evidence.sum(dim=1)
    for p in range(32):
        x = prompts.x[p]
        cov = x @ torch.diag(torch.tensor([0.25, 1.0, 4.0], dtype=torch.float64)) @ x.T + 0.16 * torch.eye(
            9, dtype=torch.float64
        )
        joint = torch.distributions.MultivariateNormal(x @ torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64), cov)
        assert abs(float(chain[p] - joint.log_prob(prompts.y[p]))) < 1e-10


def test_a_mixture_is_the_sum_of_joint_densities():
    family = Mixture()
    prompts = family.prompts(16, 7, 3)
    found = family.posterior(prompts)
    prior = family.prior()
    assert prior.covariances is not None
    for n in (1, 3, 6):
        x, y, query = prompts.x[:, :n], prompts.y[:, :n], prompts.x[:, n]
        logs, answers = [], []
        for log, mean, cov in zip(prior.log_weights, prior.means, prior.covariances, strict=True):
            joint = x @ cov @ x.mT + 0.25 * torch.eye(n, dtype=torch.float64)
            logs.append(log + torch.distributions.MultivariateNormal(x @ mean, joint).log_prob(y))
            w = mean + (cov @ x.mT @ torch.linalg.solve(joint, (y - x @ mean)[..., None]))[..., 0]
            answers.append((query * w).sum(dim=-1))
        share = torch.stack(logs, dim=-1).softmax(dim=-1)
        assert (found.log_component[:, n].exp() - share).abs().max() < 1e-10
        assert (found.mean[:, n] - (share * torch.stack(answers, dim=-1)).sum(dim=-1)).abs().max() < 1e-10


def test_point_masses_are_gaussians_without_width():
    pool = TaskPool(LinearRegression(d=4, noise=0.3), n_tasks=16)
    prompts = pool.prompts(32, 10, 4)
    prior = pool.prior()
    narrow = GaussianMixture(prior.log_weights, prior.means, torch.zeros(16, 4, 4, dtype=torch.float64))
    short = pool.posterior(prompts)
    whole = gaussian_posterior(prompts.x, prompts.y, prompts.x, narrow, 0.3)
    for name in ("mean", "variance", "log_evidence", "log_component"):
        assert (getattr(short, name) - getattr(whole, name)).abs().max() < 1e-10, name


def test_regret_against_the_best_of_a_pool_is_at_most_the_log_of_its_size():
    pool = TaskPool(LinearRegression(d=5, noise=0.5), n_tasks=64)
    prompts = pool.prompts(256, 12, 5)
    evidence = pool.posterior(prompts).log_evidence.sum(dim=1)
    error = prompts.y[..., None] - prompts.x @ pool.weights.T
    each = (-0.5 * error.square() / 0.25 - 0.5 * math.log(2 * math.pi * 0.25)).sum(dim=1)
    regret = each.max(dim=-1).values - evidence
    assert regret.max() <= math.log(64) + 1e-10
    assert regret.max() > 0.9 * math.log(64)  # it is attained where one task is left


def test_without_noise_the_answer_is_exact_once_all_directions_are_seen():
    prompts = LinearRegression(d=5, noise=0.0).prompts(128, 12, 6)
    found = prompts.family.bayes(prompts)
    assert (found[:, 5:] - prompts.y[:, 5:]).abs().max() < 1e-7
    assert (found[:, 3] - prompts.y[:, 3]).abs().mean() > 0.1


def test_the_variance_is_that_of_the_errors():
    family = Mixture()
    prompts = family.prompts(4096, 6, 7)
    found = family.posterior(prompts)
    measured = (found.mean - prompts.clean).square().mean(dim=0)
    assert (measured / found.variance.mean(dim=0) - 1).abs().max() < 0.1


def test_sparse_weights_are_found_with_fewer_pairs_than_dimensions():
    family = SparseRegression(d=8, nonzero=2)
    prompts = family.prompts(256, 8, 8)
    error = (family.bayes(prompts) - prompts.clean).square().mean(dim=0)
    dense = (LinearRegression(d=8, noise=0.0).bayes(prompts) - prompts.clean).square().mean(dim=0)
    assert error[6] < 1e-6
    assert dense[6] > 0.1


@pytest.mark.parametrize("n", [4, 40])
def test_draws_have_the_moments_of_the_prior(n: int):
    mixture = Mixture((LinearRegression(2, 0.1, mean=3.0, scale=(0.0, 1.0)), LinearRegression(2, 0.1)), (0.25, 0.75))
    truth = mixture.prompts(4000, n, 0).truth
    first = truth["weights"][truth["component"] == 0]
    assert abs(len(first) / 4000 - 0.25) < 0.03
    assert (first[:, 0] == 3).all()
    assert abs(float(first[:, 1].std()) - 1) < 0.08
