"""Models of two well-known shapes with random weights, and prompts of random tokens."""

from __future__ import annotations

import tempfile
from typing import Any

import torch

from iclmech.models import ICLModel
from iclmech.models.backends._boot import boot
from iclmech.tasks import Context, Demonstration, PromptSet, Query, Span

SHAPES = {"small": (12, 768, 12), "medium": (24, 1024, 16)}  # GPT-2 small and medium: layers, d_model, heads
VOCABULARY, LABELS = 50257, [[1001], [1002]]


def plain_model(shape: str) -> Any:
    """A transformers model with eager attention, the same weights at every call."""
    from transformers import AutoModelForCausalLM, GPT2Config

    layers, width, heads = SHAPES[shape]
    torch.manual_seed(0)
    off = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    config = GPT2Config(n_layer=layers, n_embd=width, n_head=heads, vocab_size=VOCABULARY, n_positions=1024, **off)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def model_of(shape: str) -> ICLModel:
    """The same weights behind iclmech."""
    with tempfile.TemporaryDirectory() as place:  # TransformerLens reads a tokenizer again from where it came
        tokenizer = word_tokenizer(place)
        plain = plain_model(shape)
        plain.config.save_pretrained(place)
        return ICLModel(boot(plain, tokenizer, torch.float32), shape)


def word_tokenizer(place: str) -> Any:
    """A tokenizer that has a BOS and hardly anything else, saved to `place`."""
    from tokenizers import Tokenizer, models
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<bos>": 0, "a": 1}, unk_token="a"))
    made = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<bos>", pad_token="<bos>")
    made.save_pretrained(place)
    return AutoTokenizer.from_pretrained(place)


def prompts_of(n_queries: int, k: int = 32) -> PromptSet:
    """k demonstrations of 20 tokens with their separators behind BOS (641 tokens for k=32); queries of 12 to 24 tokens."""
    make = torch.Generator().manual_seed(1)

    def tokens(n: int) -> list[int]:
        return torch.randint(2000, VOCABULARY, (n,), generator=make).tolist()

    demonstrations = []
    for index in range(k):
        label = index % 2
        own = [0, *tokens(18), *LABELS[label]]
        spans = (Span("bos", 0, 1), Span("text", 1, 19), Span("label", 19, 20))
        demonstrations.append(Demonstration(own, (19, 20), spans, 1, "", label, str(label), index))
    context = Context.of(
        demonstrations, bos=0, separator=[198], label_words=["0", "1"], label_tokens=[list(word) for word in LABELS]
    )
    lengths = torch.randint(12, 25, (n_queries,), generator=make).tolist()
    queries = [
        Query(0, tokens(n), j % 2, list(LABELS[j % 2]), "", (Span("text", 0, n),), j) for j, n in enumerate(lengths)
    ]
    return PromptSet([context], queries, 0, "random tokens", k, k, 0, n_ctx=1024)
