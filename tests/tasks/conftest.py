"""Small tasks and tokenizers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iclmech.tasks import Task

from ._tokenizers import KINDS

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Any]:
    """One tokenizer of each kind, without a window."""
    return {name: make() for name, make in KINDS.items()}


@pytest.fixture(scope="session")
def bpe(tokenizers: dict[str, Any]) -> Any:
    """The byte-level tokenizer."""
    return tokenizers["byte_level"]


def records(n: int, start: int = 0) -> list[dict[str, Any]]:
    """`n` records with different texts, classes in turn."""
    nouns = ("film", "plot", "review", "sentence")
    return [{"text": f"a {nouns[i % 4]} number {i}", "label": i % 2} for i in range(start, start + n)]


@pytest.fixture(scope="session")
def task() -> Task:
    """Forty training and thirty test examples, two classes."""
    return Task.from_records(
        records(40),
        records(30, start=100),
        template="Review: {text}\nSentiment:",
        label_words=["negative", "positive"],
        name="toy",
    )


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """`shared_data("sst2")`: a directory of real records; skips where there is none."""

    def find(name: str) -> Path:
        path = SHARED / "data" / name
        if not path.is_dir():
            pytest.skip(f"no real records of {name} beside the repository")
        return path

    return find


@pytest.fixture(scope="session")
def stories() -> Any:
    """The tokenizer of stories260K (Llama); skips where there is none."""
    path = SHARED / "models" / "stories260K"
    if not path.is_dir():
        pytest.skip("no stories260K beside the repository")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path)
