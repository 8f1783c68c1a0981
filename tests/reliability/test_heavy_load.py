"""Sizes at the edges: what memory a capture takes there, and that calls leave nothing behind."""

from __future__ import annotations

import resource
from typing import Any

import pytest
import torch

from iclmech.captures import capture, estimate_memory
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts


def small(model: ICLModel, texts: list[str], words: list[str], **more: Any) -> PromptSet:
    records = [{"text": text, "label": n % len(words)} for n, text in enumerate(texts)]
    task = Task.from_records(
        records, records, template=more.pop("template", "{text}:"), label_words=words, name="small"
    )
    return build_prompts(model, task, **{"k": 2, "n_queries": 2, "seed": 0, **more})


def paths_agree(model: ICLModel, prompts: PromptSet, setting: Any = "icl") -> None:
    a, b = (capture(model, prompts, setting, ("attn_out", "resid_post"), path=path) for path in ("auto", "uncached"))
    for site in ("attn_out", "resid_post"):
        torch.testing.assert_close(a[site], b[site], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(a.label_scores, b.label_scores, rtol=1e-4, atol=1e-4)


def test_queries_of_one_token(tiny_model):
    model = tiny_model("gpt2")
    prompts = small(model, ["a", "b", "c", "d"], ["a", "positive"], template="{text}")
    assert {len(query.tokens) for query in prompts.queries} == {1}
    paths_agree(model, prompts)
    paths_agree(model, prompts, "zs")


@pytest.mark.filterwarnings("ignore::iclmech._base.ICLMechWarning")
def test_two_hundred_labels(tiny_model):
    model = tiny_model("gpt2")
    words = [f"{a}{b}" for a in "abcdefghijklmnopqrst" for b in "0123456789"]
    prompts = small(model, [f"text {n}" for n in range(200)], words, k=3)
    acts = capture(model, prompts, "icl")
    assert acts.label_scores.shape == (2, 200)
    assert bool(acts.label_scores.isfinite().all())
    one = capture(model, prompts, "icl", path="uncached")
    torch.testing.assert_close(acts.label_scores, one.label_scores, rtol=1e-4, atol=1e-4)


def peak() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def grown(model: ICLModel, prompts: PromptSet) -> tuple[int, int]:
    """(bytes by which the peak grew in a capture, what was foretold)."""
    told = estimate_memory(model, prompts, "icl", ("attn_out",))
    before = peak()
    capture(model, prompts, "icl", ("attn_out",))
    return peak() - before, told.total - told.weights


def test_many_demonstrations_and_a_large_vocabulary_stay_within_the_estimate(tmp_path, size):
    import reference
    from transformers import GPT2Config, GPT2LMHeadModel

    if size(0, 1) == 0:
        pytest.skip("a part of the campaign: make campaign")
    demonstrations, vocabulary = 512, 200_000
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=vocabulary, n_positions=16 * demonstrations, n_embd=32, n_layer=2, n_head=4)
    config._attn_implementation = "eager"
    model = ICLModel(GPT2LMHeadModel(config).eval(), "large", reference.make_tokenizer())
    texts = [f"t{n}" for n in range(demonstrations + 8)]
    prompts = small(model, texts, ["a", "positive"], k=demonstrations, n_queries=8)
    took, told = grown(model, prompts)
    assert took <= told + 200e6, f"{took / 1e6:.0f} MB; foretold {told / 1e6:.0f} MB"


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_memory_does_not_grow_with_the_calls(tiny_model, size):
    """Captures by all ways and updates, again and again; `make campaign` runs 200 comparisons, too."""
    import gc

    from operations import operations_of

    if size(0, 1) == 0:
        pytest.skip("a part of the campaign: make campaign")
    operations = list(operations_of(tiny_model("gpt2", 2)).values())
    calls, half = 200, []
    for _ in range(2):
        for operation in operations * 2:
            operation()
        gc.collect()
        start = resident()
        for _ in range(calls):
            for operation in operations:
                operation()
        gc.collect()
        half.append((resident() - start) / (calls * len(operations)))
    assert min(half) < 1024, f"{[round(b) for b in half]} bytes a call"


def test_two_hundred_comparisons_in_one_process(size):
    if size(0, 1) == 0:
        pytest.skip("a part of the campaign: make campaign")
    import gc

    import iclmech as icl

    model, task, seen = icl.load_model("icl-mini"), icl.load_task("mini/sentiment"), []
    for n in range(200):
        icl.compare(model, task, k=2, n_queries=4, seeds=1, lr=0.01, controls="essential", n_examples=0)
        if n >= 50:
            gc.collect()
            seen.append(resident())
    slope = torch.linalg.lstsq(
        torch.stack([torch.arange(float(len(seen))), torch.ones(len(seen))], 1).double(), torch.tensor(seen).double()
    ).solution[0]
    assert float(slope) < 1024, f"{float(slope):.0f} bytes a comparison"
