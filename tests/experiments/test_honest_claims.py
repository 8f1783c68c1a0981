"""Claims on models of which the truth is known: random ones learn nothing, icl-mini learns some tasks and not others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import iclmech as icl

RANDOM_MODELS = 6
"""Here; `scripts/random_models.py` runs as many as one likes."""
CUES = {"north": ["cold", "ice", "snow"], "south": ["sun", "heat", "sand"], "west": ["rain", "wind", "sea"]}
LEARNT = ("mini/sentiment-5", "mini/topic-symbols", "mini/held-topic", "mini/held-quad")
"""With 256 queries icl-mini is .60 and more above the best constant answer on each, and .39 and more above zero-shot."""
NOT_LEARNT = ("mini/topic", "mini/held-entailment")
"""Known without demonstrations already; below the best constant answer."""
CHEAP: dict[str, Any] = {"updates": ("gd",), "lr": 0.01, "controls": "none", "n_examples": 0, "progress": False}


def make_tokenizer() -> Any:
    """Byte-level BPE in which each label word is a token of its own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<bos>"], initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([f"{' '.join(words)}\n {label}" for label, words in CUES.items()] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<bos>", model_max_length=256)


def random_model(seed: int, directory: Path) -> Any:
    """A GPT-2 of 4 layers with 4 heads and d = 64, drawn at random, as a user would load it."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = GPT2Config(
        n_embd=64, n_layer=4, n_head=4, n_positions=256, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0,
        attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0,
    )  # fmt: skip
    GPT2LMHeadModel(config).eval().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return icl.load_model(directory)


def three_classes(seed: int, directory: Path) -> Any:
    """A task of three classes from two CSV files, with queries of its own for every seed."""
    draw = np.random.default_rng(seed)
    for split, n in (("train", 60), ("test", 64)):
        labels = draw.choice(list(CUES), size=n)
        rows = [f"{' '.join(draw.choice(CUES[y], size=2))},{y}" for y in labels]
        (directory / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    return icl.load_task(directory)


def random_verdict(seed: int, directory: Path) -> Any:
    """The claim that a random model learns in context."""
    for part in ("model", "task"):
        (directory / part).mkdir()
    model, task = random_model(seed, directory / "model"), three_classes(seed, directory / "task")
    result = icl.compare(model, task, k=8, n_queries=64, seeds=5, **CHEAP)
    return result.judged()[0]


def test_random_models_are_not_said_to_learn(tmp_path: Path):
    verdicts = []
    for seed in range(RANDOM_MODELS):
        (tmp_path / str(seed)).mkdir()
        claim = random_verdict(seed, tmp_path / str(seed))
        assert claim.claim == "learns in context"
        assert claim.high - claim.low > 0.02 or claim.verdict == "not shown"  # 64 queries never know more than that
        verdicts.append(claim.verdict)
    assert verdicts.count("holds") == 0


@pytest.mark.parametrize("task", LEARNT)
def test_what_icl_mini_learns_is_found(task: str):
    result = icl.compare("icl-mini", task, k=16, n_queries=64, seeds=5, **CHEAP)
    claim = result.judged()[0]
    assert (claim.claim, claim.verdict) == ("learns in context", "holds")
    assert claim.low > 0


@pytest.mark.parametrize("task", NOT_LEARNT)
def test_what_icl_mini_does_not_learn_in_context_is_not_claimed(task: str):
    claim = icl.compare("icl-mini", task, k=16, n_queries=64, seeds=5, **CHEAP).judged()[0]
    assert claim.verdict != "holds"


def simulated_gains(spread: float, n: int, seeds: int = 5, queries: int = 64) -> float:
    """How often learning is claimed of models that give one word in each setting, or noisy ones, with no true gain."""
    from iclmech.analysis.statistics import all_of, two_way_interval

    draw, held = np.random.default_rng(0), 0
    for _ in range(n):
        gold = draw.integers(3, size=queries)
        words = draw.integers(3, size=2)
        answers = [
            np.where(draw.random((seeds, queries)) < spread, draw.integers(3, size=(seeds, queries)), w) for w in words
        ]
        zs, in_context = (a == gold for a in answers)
        best = gold == np.bincount(gold).argmax()
        found = [
            two_way_interval(in_context.astype(float) - beside, binary="difference")
            for beside in (zs[:1].repeat(seeds, 0).astype(float), best.astype(float))
        ]
        held += bool(min(f.mean for f in found) > 0 and all_of([float(f.p) for f in found]) < 0.05)
    return held / n


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0])
def test_one_word_models_are_claimed_to_learn_less_often_than_one_in_forty(spread: float):
    assert simulated_gains(spread, 400) <= 0.025
