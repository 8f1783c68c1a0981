"""Enumerating Bayes: against a loop, and its regret."""

from __future__ import annotations

import math

import pytest

from iclmech.functions import Automata, Conjunctions, Parities, TeachingSequences


@pytest.mark.parametrize("use_inputs", [True, False])
@pytest.mark.parametrize("family", [Conjunctions(d=3), TeachingSequences(d=3)], ids=lambda f: f.name)
def test_the_posterior_is_the_one_of_a_loop_over_hypotheses(family: Conjunctions, use_inputs: bool):
    prompts = family.prompts(6, 7, 1)
    found = family.bayes(prompts, use_inputs)
    table, prior = family.table().tolist(), family.log_prior().exp().tolist()

    def density(row: list[float], x: list[float], i: int) -> float:
        literals = [j for j in range(3) if row[j]]
        fits = all(x[j] == row[j] for j in literals)
        if isinstance(family, TeachingSequences) and i < len(literals) + 2:
            wanted = [row[j] or (-1.0 if i == 0 else 1.0) for j in range(3)]
            if i >= 2:
                wanted[literals[i - 2]] *= -1
            return float(x == wanted)
        return (0.7 + (0.3 * 2 ** len(literals) if fits else 0.0)) / 8

    for p in range(6):
        for n in range(7):
            mass = [0.0, 0.0]
            for row, weight in zip(table, prior, strict=True):
                for i in range(n + 1):
                    x = prompts.x[p, i].tolist()
                    holds = all(x[j] == row[j] for j in range(3) if row[j])
                    weight *= density(row, x, i) if use_inputs else 1.0
                    weight *= float(i == n or holds == bool(prompts.y[p, i]))
                mass[int(holds)] += weight
            assert abs(float(found[p, n]) - mass[1] / sum(mass)) < 1e-10


def test_regret_is_at_most_the_log_of_the_number_of_hypotheses():
    family = Parities(d=6, size=2)
    regret = family.hypotheses(family.prompts(256, 20, 2)).regret()
    assert regret.max() <= math.log(15) + 1e-10
    assert regret.min() > math.log(15) - 1e-3  # one subset is left
    pool = Automata(pool=32)
    assert pool.hypotheses(pool.prompts(64, 40, 3)).regret().max() <= math.log(32) + 1e-10


def test_where_nothing_is_consistent_the_answer_is_still_a_probability():
    prompts = Parities(d=4, size=2).prompts(32, 12, 4).shuffled_y(1)
    found = prompts.family.bayes(prompts)
    assert found.isfinite().all()
    assert ((found >= 0) & (found <= 1)).all()
