"""In-context n-grams against counting."""

from __future__ import annotations

import pytest

from iclmech.functions import Automata, FunctionError, LinearRegression, predictors


def counted(read: list[int], last: int, n: int, ids: int, alpha: float) -> list[float]:
    """The definition: what followed the same n - 1 ids earlier in the prompt."""
    if n == 0:
        return [1 / ids] * ids
    shorter = counted(read, last, n - 1, ids, alpha)
    context = read[last - n + 2 : last + 1] if last - n + 2 >= 0 else None
    counts = [0] * ids
    for end in range(max(n - 2, 0), last):  # a context that ended here was followed by the next id
        if context is not None and read[end - n + 2 : end + 1] == context:
            counts[read[end + 1]] += 1
    return [(c + alpha * s) / (sum(counts) + alpha) for c, s in zip(counts, shorter, strict=True)]


@pytest.mark.parametrize(("n", "alpha"), [(1, 1.0), (2, 0.5), (3, 1.0), (4, 0.1)])
def test_ngrams_are_those_of_counting(n: int, alpha: float):
    prompts = Automata(symbols=5).prompts(3, 30, 0)
    found = predictors.ngram(prompts, n, alpha)
    for p in range(3):
        read = prompts.tokens[p].tolist()
        for last in range(30):
            wanted = counted(read, last, n, 6, alpha)
            assert max(abs(a - b) for a, b in zip(found[p, last].tolist(), wanted, strict=True)) < 1e-12


def test_a_trigram_is_nearer_to_the_automaton_than_a_unigram():
    prompts = Automata().prompts(64, 80, 1)
    away = [
        (predictors.ngram(prompts, n) - prompts.truth["distribution"]).abs().sum(-1)[:, 55:].mean() for n in (1, 2, 3)
    ]
    assert away[0] > 1.5 * away[1] > 1.5 * away[2]


def test_points_have_no_ngrams():
    with pytest.raises(FunctionError, match="expected a family of symbols"):
        predictors.ngram(LinearRegression().prompts(2, 3))
