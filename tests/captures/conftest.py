"""A small task in the tokens of the tiny models: inputs of mixed length, label words of one and of several tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import reference
import torch
from short_texts import TEXTS

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts


def make_task(words: list[str], n_test: int = 7) -> Task:
    """Records whose label is their place modulo the number of words."""
    train = [{"text": text, "label": n % len(words)} for n, text in enumerate(TEXTS)]
    test = [{"text": f"{TEXTS[n % len(TEXTS)]} {n}", "label": n % len(words)} for n in range(n_test)]
    return Task.from_records(train, test, template="{text}:", label_words=words, name="small")


@pytest.fixture(scope="session")
def prompts_for() -> Callable[..., PromptSet]:
    """`prompts_for(model, words=("a", "positive"), k=3, n_queries=7, n_contexts=1)`."""

    def build(model: ICLModel, words: tuple[str, ...] = ("a", "positive"), **kwargs: Any) -> PromptSet:
        return build_prompts(model, make_task(list(words)), **{"k": 3, "n_queries": 7, "seed": 1, **kwargs})

    return build


@pytest.fixture(scope="session")
def word_score(tiny_hf: Callable[..., Any]) -> Callable[..., float]:
    """`word_score(family, tokens, word)`: mean log-probability of `word` after `tokens`, by the plain model."""

    def score(family: str, tokens: list[int], word: list[int]) -> float:
        with torch.no_grad():
            logits = tiny_hf(family)(torch.tensor([[*tokens, *word]])).logits[0]
        log_probs = torch.log_softmax(logits, -1)
        return sum(float(log_probs[len(tokens) - 1 + n, token]) for n, token in enumerate(word)) / len(word)

    return score


@pytest.fixture(scope="session")
def recorded(tiny_hf: Callable[..., Any]) -> Callable[..., dict[str, torch.Tensor]]:
    """`recorded(family, tokens, n_own, position)`: the reference implementation's states of one prompt."""
    models: dict[str, Any] = {}

    def record(family: str, tokens: list[int], n_own: int, position: int = -1) -> dict[str, torch.Tensor]:
        if family not in models:
            models[family] = tiny_hf(family)
        return reference.record(models[family], tokens, n_own, position)

    return record
