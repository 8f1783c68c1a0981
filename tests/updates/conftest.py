"""Four demonstrations in the tokens of the tiny models, and bits of a model to hold against each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from iclmech.models import ICLModel
from iclmech.tasks import Context, Demonstration, Span

EXAMPLES = [
    ("Review: a fine film\nSentiment:", " positive"),
    ("Review: dull\nSentiment:", " negative"),
    ("Review: it is what it is\nSentiment:", " neutral"),
    ("Review: great acting, poor story\nSentiment:", " positive"),
]


@pytest.fixture(scope="session")
def demonstrations(tiny_tokenizer) -> list[Demonstration]:
    """Four, of different lengths, with labels of several tokens."""
    found = []
    for index, (text, label) in enumerate(EXAMPLES):
        own, word = (tiny_tokenizer.encode(piece, add_special_tokens=False) for piece in (text, label))
        start, stop = 1 + len(own), 1 + len(own) + len(word)
        spans = (Span("bos", 0, 1), Span("text", 1, start), Span("label", start, stop))
        found.append(Demonstration([0, *own, *word], (start, stop), spans, 1, text, 0, label.strip(), index))
    return found


@pytest.fixture(scope="session")
def context_of(tiny_tokenizer) -> Callable[[list[Demonstration]], Context]:
    """`context_of(demonstrations)`: they joined by newlines."""
    words = ["positive", "negative", "neutral"]

    def tokens(text: str) -> list[int]:
        return tiny_tokenizer.encode(text, add_special_tokens=False)

    def build(demonstrations: list[Demonstration]) -> Context:
        return Context.of(
            demonstrations,
            bos=0,
            separator=tokens("\n"),
            label_words=words,
            label_tokens=[tokens(f" {word}") for word in words],
        )

    return build


@pytest.fixture(scope="session")
def context(demonstrations, context_of) -> Context:
    """All four demonstrations."""
    return context_of(demonstrations)


@pytest.fixture(scope="session")
def samples(demonstrations) -> list[tuple[list[int], tuple[int, int]]]:
    """The same four as the reference takes them."""
    return [(d.tokens, d.label_span) for d in demonstrations]


@pytest.fixture
def untouched() -> Callable[[ICLModel], Callable[[], None]]:
    """`check = untouched(model)`; `check()` fails unless every weight, flag, mode and hook is as it was then."""

    def bits(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.contiguous().view(torch.uint8)

    def state(model: ICLModel) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
        weights = {name: p.detach().clone() for name, p in model.hooked.named_parameters()}
        weights |= {
            f"parameter {parameter.name}": parameter.tensor.detach().clone() for parameter in model.parameters("all")
        }
        rest: dict[str, object] = {f"flag {name}": p.requires_grad for name, p in model.hooked.named_parameters()}
        rest |= {f"grad {name}": p.grad is None for name, p in model.hooked.named_parameters()}
        for name, module in model.hooked.named_modules():
            rest[f"mode {name}"] = module.training
            rest[f"hooks {name}"] = len(module._forward_hooks) + len(module._forward_pre_hooks)
        rest["applied"] = model.applied
        return weights, rest

    def watch(model: ICLModel) -> Callable[[], None]:
        weights, rest = state(model)

        def check() -> None:
            weights_now, rest_now = state(model)
            changed = [name for name, w in weights.items() if not torch.equal(bits(w), bits(weights_now[name]))]
            assert changed == []
            assert rest_now == rest

        return check

    return watch
