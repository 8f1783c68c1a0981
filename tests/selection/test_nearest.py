"""Retrieval by neighbours: order, duplicates, embeddings in every form, and the vote of the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech._base import PromptError
from iclmech.selection import KNN, Balanced, Random, label_vote
from iclmech.tasks import Query, Task

ANGLES = {"north": 0.0, "almost": 0.3, "east": 1.5, "south": 3.1, "again": 0.0}
VECTORS = np.array([[np.cos(a), np.sin(a)] for a in ANGLES.values()])
TASK = Task.from_records(
    [{"text": t, "label": i % 2} for i, t in enumerate(ANGLES)],
    [{"text": "asked", "label": 0}, {"text": "east", "label": 1}],
    template="{text}:", label_words=["a", "is"], name="winds",
)  # fmt: skip
ASKED = np.array([[np.cos(0.1), np.sin(0.1)], [np.cos(1.5), np.sin(1.5)]])


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


def rows(prompts: icl.PromptSet) -> list[list[int]]:
    return [[d.index for d in prompts.contexts[q.context].demonstrations] for q in prompts.queries]


@pytest.mark.parametrize("given", ["matrix", "pair", "function"])
def test_the_nearest_stands_last_and_the_query_itself_is_skipped(tiny_model: Any, given: str) -> None:
    known = {**dict(zip(ANGLES, VECTORS, strict=True)), "asked": ASKED[0]}
    forms = {
        "matrix": torch.tensor(np.concatenate([VECTORS, ASKED])),
        "pair": (5 * VECTORS, ASKED),
        "function": lambda texts: np.stack([known[t] for t in texts]),
    }
    prompts = icl.build_prompts(tiny_model("gpt2", 2), TASK, k=3, n_queries=2, selection=KNN(forms[given]))
    by_text = {q.text: found for q, found in zip(prompts.queries, rows(prompts), strict=True)}
    assert by_text["asked"][0] == 1 or set(by_text["asked"][1:]) == {0, 4}  # .1 away from both, .2 from the other
    assert sorted(by_text["asked"]) == [0, 1, 4]
    assert by_text["asked"][0] == 1
    assert by_text["east"][-1] == 1  # "east" is skipped, "almost" is the next
    assert 2 not in by_text["east"]


def test_only_annotated_rows_are_retrieved(tiny_model: Any) -> None:
    chooser = KNN((VECTORS, ASKED), rows=[1, 2, 3])
    prompts = icl.build_prompts(tiny_model("gpt2", 2), TASK, k=3, n_queries=1, selection=chooser)
    assert sorted(rows(prompts)[0]) <= [1, 2, 3]
    with pytest.raises(PromptError, match="got rows up to 9 and 5 vectors"):
        KNN((VECTORS, ASKED), rows=[9]).choose(TASK.train, prompts.queries[0], 1, 0)


def test_a_query_without_a_vector_is_refused() -> None:
    query = Query(0, [1], 0, [1], "asked", (), 0)
    with pytest.raises(PromptError, match="expected one for each"):
        KNN(VECTORS).choose(TASK.train, query, 1, 0)
    with pytest.raises(PromptError, match="with values that are not finite"):
        KNN(VECTORS * np.nan)


def test_rows_by_number_stand_as_given(model: icl.ICLModel) -> None:
    task = icl.load_task("mini/sentiment")
    shared = icl.build_prompts(model, task, k=3, n_queries=2, selection=[7, 3, 5])
    assert rows(shared) == [[7, 3, 5]] * 2
    with pytest.raises(PromptError, match="a list for each"):
        icl.build_prompts(model, task, k=1, n_queries=3, selection=[[1], [2]])


def test_the_vote_is_the_majority_and_ties_go_to_the_nearest(tiny_model: Any) -> None:
    gpt2 = tiny_model("gpt2", 2)

    def vote(*chosen: int) -> int | None:
        return label_vote(icl.build_prompts(gpt2, TASK, k=len(chosen), n_queries=1, selection=list(chosen)).contexts[0])

    assert vote(0, 1, 2) == 0
    assert vote(0, 1) == 1
    assert vote(1, 0) == 0
    assert label_vote(icl.build_prompts(gpt2, TASK, k=0, n_queries=1).contexts[0]) is None


def test_drawn_examples_differ_by_query_and_seed_only(model: icl.ICLModel) -> None:
    task = icl.load_task("mini/topic")
    drawn = [
        rows(icl.build_prompts(model, task, k=8, n_queries=4, seed=s, selection=Random(range(20)))) for s in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({tuple(r) for r in drawn[0]}) == 4
    assert max(max(r) for r in drawn[0]) < 20
    for chosen in rows(icl.build_prompts(model, task, k=8, n_queries=4, selection=Balanced())):
        assert sorted(task.train[row].label or 0 for row in chosen) == [0, 0, 1, 1, 2, 2, 3, 3]
