"""The shipped weights: what they must show, on few queries."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import iclmech as icl
from iclmech._base import ModelError
from iclmech.experiments.mini import accuracy, induction, net_patterns, net_predict, write_prompt
from iclmech.mini import list_mini_models, mini_history, mini_model_dir, mini_task_spec
from iclmech.mini._store import DATA
from iclmech.training import load_net, load_recipe


@cache
def shipped(name: str = "icl-mini"):
    return load_net(load_file(mini_model_dir(name) / "model.safetensors"), load_recipe("full").net)


def measured(name: str, k: int) -> float:
    return accuracy(net_predict(shipped()), name, k, n=64, seed=11)


@pytest.mark.parametrize("name", ["mini/held-pair", "mini/held-subjectivity"])
def test_two_held_out_classes_are_learned_in_context(name: str) -> None:
    assert abs(measured(name, 0) - 0.5) < 0.2
    assert measured(name, 8) >= 0.75
    assert measured(name, 16) >= 0.9


def test_four_classes_with_held_out_labels_are_learned_in_context() -> None:
    assert measured("mini/held-topic", 0) < 0.45
    assert measured("mini/held-topic", 16) >= 0.8


def test_natural_labels_are_known_and_the_context_adds_to_them() -> None:
    alone, with_context = measured("mini/sentiment", 0), measured("mini/sentiment", 16)
    assert 0.6 < alone < with_context


def test_the_prior_wins_first_and_the_context_later() -> None:
    assert measured("mini/sentiment-flipped", 1) < 0.5 < measured("mini/sentiment-flipped", 32)


def test_a_head_matches_prefixes() -> None:
    assert induction(net_patterns(shipped()), rows=8, seed=12)["best"] > 0.6


def test_the_library_loads_the_same_model() -> None:
    model = icl.load_model("icl-mini")
    ids = torch.randint(3, model.shape.d_vocab, (2, 200), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.forward(ids), shipped().logits(shipped()(ids)), atol=1e-3, rtol=1e-3)
    assert model.shape.n_ctx >= 1024


def test_prompts_are_tokenised_as_in_training() -> None:
    model, task, spec = icl.load_model("icl-mini"), icl.load_task("mini/topic"), mini_task_spec("mini/topic")
    prompts = icl.build_prompts(model, task, k=5, n_queries=3, seed=0)
    rows = [spec.train[demonstration.index] for demonstration in prompts.demonstrations]
    for query in prompts.queries:
        expected = write_prompt(spec, rows, {"text": query.text}, spec.label_words)
        assert prompts.context_tokens + query.tokens == expected


def test_snapshots_are_complete_models_from_before_and_after() -> None:
    names = [name for name in list_mini_models() if name.startswith("icl-mini@")]
    assert 8 <= len(names) <= 12
    assert names[0] == "icl-mini@step-0"
    late = names[-1]
    assert {file.name for file in mini_model_dir(late).iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    assert mini_model_dir(late) == mini_model_dir(late)
    before = accuracy(net_predict(shipped(names[0])), "mini/held-pair", 16, n=64, seed=11)
    after = accuracy(net_predict(shipped(late)), "mini/held-pair", 16, n=64, seed=11)
    assert before < 0.75 < after


def test_files_are_small() -> None:
    assert (DATA / "icl-mini" / "model.safetensors").stat().st_size < 12e6
    assert sum(file.stat().st_size for file in (DATA / "snapshots").iterdir()) < 25e6


def test_the_card_has_the_checksums() -> None:
    card = (DATA / "icl-mini" / "MODEL_CARD.md").read_text()
    for file in (DATA / "icl-mini" / "model.safetensors", *(DATA / "snapshots").glob("*.safetensors")):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in card, file.name


def test_history_covers_the_transition_of_three_seeds() -> None:
    rows = mini_history()
    assert len({row["seed"] for row in rows}) >= 3
    assert {"step", "tokens", "in_weights", "prefix_matching", "held-pair@16"} <= set(rows[0])
    assert json.dumps(rows)
    for seed in {row["seed"] for row in rows}:
        course = [row for row in rows if row["seed"] == seed]
        assert [row["step"] for row in course] == sorted({row["step"] for row in course})
        assert course[0]["prefix_matching"] < 0.1


def test_what_is_not_shipped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="icl-mini"):
        mini_model_dir("icl-mini@step-7")
