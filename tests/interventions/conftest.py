"""A small task in the tokens of the tiny models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

TEXTS = ["fine", "dull film", "it is", "great", "a", "never starts", "moves you", "the film"]


@pytest.fixture(scope="session")
def toy_prompts() -> Callable[..., PromptSet]:
    """`toy_prompts(model, words=("a", "positive"), k=3, n_queries=4, n_contexts=2)`."""

    def build(model: ICLModel, words: tuple[str, ...] = ("a", "positive"), **options: Any) -> PromptSet:
        train = [{"text": text, "label": n % 2} for n, text in enumerate(TEXTS)]
        test = [{"text": f"{text} {n}", "label": n % 2} for n, text in enumerate(TEXTS)]
        task = Task.from_records(train, test, template="{text}:", label_words=list(words), name="toy")
        return build_prompts(model, task, **{"k": 3, "n_queries": 4, "n_contexts": 2, "seed": 1, **options})

    return build
