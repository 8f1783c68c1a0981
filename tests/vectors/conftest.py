"""A small task in the tokens of the tiny models, with label words of one and of several tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

TEXTS = [
    "fine",
    "dull film",
    "it is what it is",
    "great acting, poor story",
    "a",
    "never starts",
    "moves you",
    "the film",
]


@pytest.fixture(scope="session")
def head_prompts() -> Callable[..., PromptSet]:
    """`head_prompts(model, k=4, n_queries=6, n_contexts=2)`."""

    def build(model: ICLModel, **more: Any) -> PromptSet:
        words = ["a", "positive"]
        train = [{"text": text, "label": n % 2} for n, text in enumerate(TEXTS)]
        test = [{"text": f"{TEXTS[n % len(TEXTS)]} {n}", "label": n % 2} for n in range(8)]
        task = Task.from_records(train, test, template="{text}:", label_words=words, name="small")
        return build_prompts(model, task, **{"k": 4, "n_queries": 6, "n_contexts": 2, "seed": 1, **more})

    return build
