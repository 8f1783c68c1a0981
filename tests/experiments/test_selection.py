"""Selection as an experiment: against a loop over prompts, the number by query by hand, figures, files, refusals."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech.experiments import ExperimentError
from iclmech.experiments._adapted_number import adapt, at_budget
from iclmech.experiments.comparison._prompts import _behind_one_context
from iclmech.selection import KNN, Random, embed, label_vote


@pytest.fixture(scope="module")
def result() -> icl.SelectionComparison:
    return icl.compare_selections(
        "icl-mini", "mini/topic", k=3, n_queries=6, seeds=3, annotations=("random", "diversity"), retrievals=("random", "knn"),
        candidates=40, annotated=20, layer=1, ladder=(1, 3), thresholds=(0.5, 0.9),
    )  # fmt: skip


def test_one_cell_is_a_loop_over_prompts(result: icl.SelectionComparison) -> None:
    model, task = icl.load_model("icl-mini"), icl.load_task("mini/topic")
    right, votes = [], []
    vectors = tuple(embed(model, [e.text for e in examples], 1) for examples in (task.train, task.test))
    for seed in range(3):
        rows = Random().pool(task.train, 40, seed)
        rows = [rows[i] for i in Random().pool([task.train[r] for r in rows], 20, seed)]
        prompts = icl.build_prompts(model, task, 3, 6, seed, selection=KNN(vectors, rows))
        for j, query in enumerate(prompts.queries):
            context = prompts.contexts[query.context]
            assert all(d.index in rows for d in context.demonstrations)
            with torch.no_grad():
                logits = model.hooked(torch.tensor([prompts.sequence(j)]))[0, -1]
            answer = max(range(4), key=lambda c: float(logits[context.label_tokens[c][0]]))
            right.append(answer == query.label)
            votes.append(label_vote(context) == query.label)
    at = {"annotation": "random", "retrieval": "knn"}
    assert float(result.data["accuracy"].sel(at)) == pytest.approx(np.mean(right))
    assert float(result.data["vote"].sel(at)) == pytest.approx(np.mean(votes))
    lead = float(result.data["above_vote"].sel(at))
    assert lead == pytest.approx(np.mean(right) - np.mean(votes))
    rung = float(result.data["rung_accuracy"].sel(retrieval="knn", k=3))
    assert rung == pytest.approx(np.mean(right))  # the ladder's rung of k is the same cell


def test_a_number_by_query_by_hand() -> None:
    accuracy = np.array([[[0.0, 1.0, 1.0], [1.0, 1.0, 0.0]]])
    confidence = np.array([[[0.6, 0.9, 0.9], [0.95, 0.5, 0.5]]])
    tokens = np.array([[[10.0, 20.0, 40.0], [10.0, 20.0, 40.0]]])
    found = adapt(accuracy, confidence, tokens, 0.9)
    assert found.accuracy.tolist() == [[1, 1]]  # the second rung, the first rung
    assert found.dealt.tolist() == [[0.5, 1]]  # either rung with chance 1/2
    assert found.tokens.tolist() == [[20, 10]]
    assert found.spent.tolist() == [[30, 10]]
    assert found.fixed.tolist() == [[0.5, 1]]  # 15 tokens: halfway between the rungs
    assert found.fixed_spent.tolist() == [[1, 1]]  # 20 tokens: the second rung
    assert np.isnan(at_budget(accuracy, np.array([10.0, 20.0, 40.0]), 41.0)).all()


def test_claims_answer_figures_and_file(result: icl.SelectionComparison, tmp_path: Path) -> None:
    claims = result.claims()
    assert len(claims) == 2 + 2 + 2 + 6
    assert set(claims["verdict"]) <= {"holds", "does not hold", "not shown", "not applicable"}
    assert "vote" in result.answer()[1]
    assert set(result.figures()) == {"methods", "tokens"}
    again = icl.load(result.save(tmp_path / "selection.nc"))
    assert again.claims().equals(claims)
    assert again.answer() == result.answer()
    page = icl.write_report(again, tmp_path / "page.html").read_text()
    assert "vote" in page


def test_refusals() -> None:
    with pytest.raises(ExperimentError, match="annotations are random, vote_k"):
        icl.compare_selections("icl-mini", "mini/topic", annotations=("best",))
    with pytest.raises(ExperimentError, match="no fixed label words"):
        icl.compare_selections("icl-mini", "words/plural")
    with pytest.raises(ExperimentError, match="demonstrations ≤ annotated"):
        icl.compare_selections("icl-mini", "mini/topic", annotated=500)
    with pytest.raises(ExperimentError, match="numbers that grow"):
        icl.compare_selections("icl-mini", "mini/topic", ladder=(4, 2))


def test_compare_takes_a_selection_that_is_the_same_for_all_queries_and_refuses_another() -> None:
    model, task = icl.load_model("icl-mini"), icl.load_task("mini/topic")
    options = {"k": 4, "n_queries": 6, "seeds": 1, "lr": 0.03, "controls": "none", "updates": "gd"}
    found = icl.compare(model, task, selection=[3, 1, 2, 9], **options)  # type: ignore[arg-type]  # plain values
    assert isinstance(found, icl.Comparison)
    prompts = icl.build_prompts(model, task, 4, 6, selection=[3, 1, 2, 9])
    expected = icl.accuracy(model, prompts)
    assert float(found.data["accuracy"].sel(setting="icl").squeeze()) == pytest.approx(expected)
    update = icl.gradient_descent(model, prompts.contexts[0], lr=0.03, loss="label")
    with update.applied(model):
        tuned = icl.accuracy(model, prompts, "zs")
    assert float(found.data["accuracy"].sel(setting="ft:gd").squeeze()) == pytest.approx(tuned)
    vectors = tuple(embed(model, [e.text for e in examples], 1) for examples in (task.train[:20], task.test))
    with pytest.raises(ExperimentError, match="'knn' gives every query demonstrations of its own"):
        icl.compare(model, task, selection=KNN(vectors, list(range(20))), **options)  # type: ignore[arg-type]  # plain values


def test_training_queries_among_the_demonstrations_fall_out() -> None:
    model, task = icl.load_model("icl-mini"), icl.load_task("mini/topic")
    rows = [3, 1, 2, 9]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", icl.ICLMechWarning)  # behind a query that is a demonstration there is one less
        prompts = icl.build_prompts(model, task, 4, len(task.train), queries_from="train", selection=rows)
    one = _behind_one_context(prompts)
    assert len(one.contexts) == 1
    left = [d.index for d in one.contexts[0].demonstrations]
    assert {q.index for q in prompts.queries} - {q.index for q in one.queries} == set(left)
    assert left == rows[1:]  # one less for all, since one of them is left out behind each of themselves
