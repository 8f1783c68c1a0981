"""`label_specific=True`: the numbers against labellings, orders and updates taken by hand; and what stands beside accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech._base import UpdateError, np_rng
from iclmech.experiments import CompareError, CompareRequest
from iclmech.experiments.comparison._plan import Plan, plan_of

WORDS = ["good", "fine", "poor", "dull", "odd", "long", "warm", "cold"]
COMMON: dict[str, Any] = {
    "k": 6,
    "n_queries": 5,
    "seeds": 2,
    "n_boot": 20,
    "progress": False,
    "updates": "gd",
    "lr": 0.2,
}


def small_task() -> icl.Task:
    records = [{"text": f"{WORDS[i % 8]} {WORDS[(3 * i) % 8]} {i}", "label": (i // 2) % 2} for i in range(24)]
    return icl.Task.from_records(records, records, template="{text} =", label_words=["negative", "positive"])


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., icl.ICLModel]) -> icl.ICLModel:
    return tiny_model("gpt2", 2)


@pytest.fixture(scope="module")
def result(model: icl.ICLModel) -> icl.Comparison:
    controls = ["icl:shuffled_labels", "shuffled_labels"]
    return icl.compare(
        model, small_task(), controls=controls, label_specific=True, calibrate="dc", n_permutations=2, **COMMON
    )


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_the_label_specific_similarity_is_that_of_the_steps(result: icl.Comparison, model: icl.ICLModel) -> None:
    seed = 1
    prompts = icl.build_prompts(model, small_task(), k=6, n_queries=5, seed=seed)
    labellings = [prompts, *prompts.with_permuted_labels(seed, 10)]  # A: 1-4, B: 5-8, others: 9, 10

    def behind(i: int) -> np.ndarray:
        return icl.capture(model, labellings[i], "icl", ("attn_out",))["attn_out"].double().numpy()

    def after(i: int, order: int) -> np.ndarray:
        context = labellings[i].contexts[0]
        places = np_rng(seed, f"label-specific order {order}").permutation(6)
        taken = context.with_demonstrations([context.demonstrations[p] for p in places])
        with icl.gradient_descent(model, taken, lr=0.2).applied(model):
            return icl.capture(model, prompts, "zs", ("attn_out",))["attn_out"].double().numpy()

    x = {i: behind(i) - np.mean([behind(a) for a in range(1, 5)], axis=0) for i in (0, 9, 10)}
    deltas = []
    for order in range(2):
        base = np.mean([after(b, order) for b in range(5, 9)], axis=0)
        y = {i: after(i, order) - base for i in (0, 9, 10)}
        crossed = np.mean([0.5 * (cosine(x[0], y[j]) + cosine(x[j], y[0])) for j in (9, 10)], axis=0)
        deltas.append(cosine(x[0], y[0]) - crossed)
    expected = np.mean(deltas, axis=0).mean(axis=0)  # over orders, then queries: [layer]
    at = {"comparison": "gd", "variant": "trained", "seed": seed}
    np.testing.assert_allclose(result.data.sim_aou_labels.sel(at), expected, atol=5e-3)
    kept = np.mean([p.meta["share_kept"][0] for p in labellings[1:]])
    assert result.data.sim_aou_labels_share_kept.sel(seed=seed).item() == pytest.approx(kept)


def test_what_stands_beside_it(result: icl.Comparison) -> None:
    data = result.data
    assert data.sim_aou_labels.dims == ("comparison", "variant", "seed", "layer")
    for arm in ("right", "crossed", "matched", "same_order"):
        assert data[f"sim_aou_labels_{arm}"].sel(comparison="gd", variant="trained").notnull().all()
    gap = data.sim_aou_labels_right - data.sim_aou_labels_crossed - data.sim_aou_labels
    assert abs(gap).max() < 1e-5
    assert data.sim_aou_labels.sel(comparison="gd:shuffled_labels").isnull().all()
    mean = data.sim_aou_labels.sel(comparison="gd", variant="trained").mean().item()
    at = {"comparison": "gd", "variant": "trained"}
    assert data.sim_aou_labels_mean.sel(at).item() == pytest.approx(mean, abs=1e-6)
    low, high = data.sim_aou_labels_mean_ci.sel(at).values
    assert low < mean < high
    result.summary()


def test_a_grid_of_rates_has_no_label_specific_similarity(model: icl.ICLModel) -> None:
    with pytest.raises(CompareError, match="one rate for each update"):
        icl.compare(model, small_task(), label_specific=True, controls="none", **{**COMMON, "lr": [0.1, 0.2]})


def test_calibrated_accuracy_is_that_of_the_scores_without_their_prior(
    result: icl.Comparison, model: icl.ICLModel
) -> None:
    prompts = icl.build_prompts(model, small_task(), k=6, n_queries=5, seed=0)
    texts = [d.text for d in prompts.demonstrations]
    labels = torch.tensor([q.label for q in prompts.queries])

    def share(setting: Any) -> float:
        acts = icl.capture(model, prompts, setting, ())
        prior = icl.calibration.prior(model, prompts, "dc", setting=setting, texts=texts)
        return float(((acts.label_scores - prior.log()).argmax(-1) == labels).double().mean())

    at = {"variant": "trained", "seed": 0, "lr": 0}
    calibrated = result.data.accuracy_calibrated
    assert calibrated.sel(setting="icl", **at).item() == pytest.approx(share("icl"))
    assert calibrated.sel(setting="zs", **at).item() == pytest.approx(share("zs"))
    with icl.gradient_descent(model, prompts, lr=0.2).applied(model):
        assert calibrated.sel(setting="ft:gd", **at).item() == pytest.approx(share("zs"))


def test_chance_is_the_best_constant_answer(result: icl.Comparison, model: icl.ICLModel) -> None:
    prompts = icl.build_prompts(model, small_task(), k=6, n_queries=5, seed=0)
    counts = np.bincount([q.label for q in prompts.queries])
    assert result.data.chance.values == pytest.approx([counts.max() / 5] * 2)
    at = {"variant": "trained", "lr": 0}
    np.testing.assert_allclose(
        result.data.above_constant.sel(at), result.data.accuracy.sel(at) - counts.max() / 5, atol=1e-6
    )
    share = np.bincount(icl.capture(model, prompts, "icl", ()).label_scores.argmax(-1)).max() / 5
    assert result.data.answer_share.sel(setting="icl", seed=0, **at).item() == pytest.approx(share)


def test_one_permutation_is_the_one_it_always_was(model: icl.ICLModel) -> None:
    options = {**COMMON, "seeds": 1}
    found = icl.compare(model, small_task(), controls=["icl:shuffled_labels"], n_permutations=1, **options).data
    prompts = icl.build_prompts(model, small_task(), k=6, n_queries=5, seed=0)
    zs, behind, shuffled = (
        icl.capture(model, p, s, ("attn_out",))
        for p, s in ((prompts, "zs"), (prompts, "icl"), (prompts.with_shuffled_labels(0), "icl"))
    )
    expected = icl.metrics.sim_aou(zs, behind, shuffled).mean(0)
    at = {"comparison": "icl:shuffled_labels", "variant": "trained", "seed": 0, "lr": 0}
    np.testing.assert_allclose(found.sim_aou.sel(at), expected, atol=1e-4)
    moved = icl.metrics.displacement(zs, shuffled).mean(0)
    np.testing.assert_allclose(found.displacement.sel(at), moved, atol=1e-5)
    with pytest.raises(CompareError, match="n_permutations=0"):
        icl.compare(model, small_task(), n_permutations=0, **options)
    with pytest.raises(CompareError, match="calibrate='xx'"):
        plan_of(CompareRequest(calibrate="xx"), small_task(), "m", {})


def test_demonstrations_of_one_token_have_unrelated_text() -> None:
    mini = icl.load_model("icl-mini")
    records = [{"text": letter, "label": i % 2} for i, letter in enumerate("abcdef" * 4)]
    task = icl.Task.from_records(records, records, template="{text}", label_words=["negative", "positive"])
    prompts = icl.build_prompts(mini, task, k=3, n_queries=3)
    assert all(len(d.tokens) == 3 for d in prompts.demonstrations)  # BOS, the input, the label
    options = {"k": 3, "n_queries": 3, "seeds": 1, "n_boot": 20, "progress": False, "updates": "gd"}
    found = icl.compare(mini, task, lr=0.01, controls=["icl:unrelated_text"], **options)
    assert found.data.sim_aou_overall.sel(comparison="icl:unrelated_text").notnull().all()


def test_labellings_are_learnt_one_by_one_where_one_of_them_diverges(
    result: icl.Comparison, model: icl.ICLModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, refused = Plan.update, []

    def update(self: Plan, name: str, model: icl.ICLModel, prompts: Any, lr: Any) -> Any:
        if isinstance(prompts, list):
            refused.append(len(prompts))
            raise UpdateError("one of them is not finite")
        return whole(self, name, model, prompts, lr)

    monkeypatch.setattr(Plan, "update", update)
    controls = ["icl:shuffled_labels", "shuffled_labels"]
    again = icl.compare(
        model, small_task(), controls=controls, label_specific=True, calibrate="dc", n_permutations=2, **COMMON
    )
    assert refused == [2, 7, 7, 7, 2, 7, 7, 7]  # permutations, then labellings in three orders, for each seed
    assert again.notes == result.notes
    for name in ("sim_aou", "sim_aou_labels", "accuracy"):
        np.testing.assert_allclose(again.means[name], result.means[name], atol=1e-5)
