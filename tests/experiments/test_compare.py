"""`compare` from end to end on a tiny random model, and its numbers against the steps taken by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import iclmech as icl
from iclmech import ICLMechWarning
from iclmech._base import UpdateError, rng
from iclmech.experiments import CompareError

WORDS = ["good", "fine", "poor", "dull", "odd", "long", "warm", "cold"]


def small_task(name: str = "small", words: tuple[str, str] = ("negative", "positive"), n: int = 24) -> icl.Task:
    def records(start: int) -> list[dict[str, Any]]:
        return [
            {"text": f"{WORDS[i % 8]} {WORDS[(i * 3 + start) % 8]} {i}", "label": (i // 2) % 2}
            for i in range(start, start + n)
        ]

    return icl.Task.from_records(records(0), records(100), template="{text} =", label_words=list(words), name=name)


COMMON: dict[str, Any] = {"k": 3, "n_queries": 6, "seeds": 2, "n_boot": 50, "progress": False}


def size_of_shift(zs: icl.Activations, other: icl.Activations, ft: icl.Activations) -> torch.Tensor:
    return icl.metrics.shift_size(zs, ft)


def tokens_seen(zs: icl.Activations, other: icl.Activations, ft: icl.Activations) -> float:
    return float(len(zs))


@pytest.fixture(scope="module")
def model(tiny_model: Callable[..., icl.ICLModel]) -> icl.ICLModel:
    return tiny_model("gpt2", 2)


@pytest.fixture(scope="module")
def result(model: icl.ICLModel) -> icl.Comparison:
    return icl.compare(
        model,
        small_task(),
        lr={"gd": 0.05, "lcgd": 0.02},
        keep_queries=True,
        metrics={"size": size_of_shift, "count": tokens_seen},
        wrong_task=small_task("other", ("the", "film")),
        **COMMON,
    )


def test_contract_of_axes(result: icl.Comparison) -> None:
    assert list(result.means.comparison.values) == [
        *("gd", "lcgd", "random_direction", "gd:matched_update", "lcgd:matched_update", "gd:random_update"),
        *("lcgd:random_update", "gd:shuffled_labels", "lcgd:shuffled_labels", "gd:wrong_task", "lcgd:wrong_task"),
        *("icl:reordered", "icl:shuffled_labels", "icl:unrelated_text", "icl:wrong_task"),
    ]
    assert list(result.means.variant.values) == ["trained", "untrained"]
    settings = list(result.means.setting.values)
    assert {"zs", "icl", "icl:shuffled_labels", "icl:unrelated_text", "icl:wrong_task", "ft:gd", "ft:lcgd"} <= set(
        settings
    )
    assert result.means.sim_aou.sizes == {"comparison": 15, "variant": 2, "seed": 2, "lr": 1, "layer": 2}
    assert result.data.sim_am.sizes["query"] == 6
    assert result.means.lr_value.sel(update="lcgd").item() == 0.02
    assert all("matched_update" in note for note in result.notes)


def test_what_is_run(result: icl.Comparison) -> None:
    overall = result.means.sim_aou_overall.isel(lr=0)
    assert not np.isnan(overall.sel(variant="trained")).any()
    untrained = overall.sel(variant="untrained")
    essential = ["gd", "lcgd", "random_direction", "gd:random_update", "lcgd:random_update", "icl:reordered"]
    assert not np.isnan(untrained.sel(comparison=essential)).any()
    assert np.isnan(untrained.sel(comparison=["gd:wrong_task", "lcgd:shuffled_labels"])).all()
    assert not np.isnan(result.means.accuracy.sel(variant="trained")).any()
    null = result.means.null_closed_form.isel(lr=0).sel(variant="trained")
    assert np.isnan(null.sel(comparison="random_direction")).all()
    assert (null.sel(comparison=["gd", "gd:random_update"]) > 0).all()


def behind_text(model: icl.ICLModel, prompts: icl.PromptSet, seed: int) -> icl.PromptSet:
    other = icl.build_prompts(model, small_task("other", ("the", "film")), k=3, n_queries=1, seed=seed)
    return prompts.with_unrelated_text(seed, source=other)


def steps_by_hand(model: icl.ICLModel, seed: int) -> dict[str, Any]:
    prompts = icl.build_prompts(model, small_task(), k=3, n_queries=6, seed=seed)
    zs, behind = icl.capture(model, prompts, "zs"), icl.capture(model, prompts, "icl")
    updates = {
        "gd": icl.gradient_descent(model, prompts, lr=0.05),
        "lcgd": icl.layer_causal_gd(model, prompts, lr=0.02),
    }
    updates["gd:random_update"] = updates["gd"].random_like(seed)
    permuted = [icl.layer_causal_gd(model, p, lr=0.02) for p in prompts.with_permuted_labels(seed, 6)]
    tuned = {}
    for name, update in updates.items():
        with update.applied(model):
            tuned[name] = icl.capture(model, prompts, "zs")
    tuned["icl:unrelated_text"] = icl.capture(model, behind_text(model, prompts, seed), "icl")
    tuned["permuted"] = []
    for update in permuted:
        with update.applied(model):
            tuned["permuted"].append(icl.capture(model, prompts, "zs"))
    tuned["icl:reordered"] = icl.capture(model, prompts.reordered(seed), "icl")
    return {"zs": zs, "icl": behind, "labels": [q.label for q in prompts.queries], "updates": updates, **tuned}


def plain_cosine(zs: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    z, x, y = (t.double().numpy() / np.linalg.norm(t.double().numpy(), axis=-1, keepdims=True) for t in (zs, a, b))
    p, q = x - z, y - z
    return (p * q).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(q, axis=-1)


@pytest.mark.parametrize("seed", [0, 1])
def test_numbers_are_those_of_the_steps(result: icl.Comparison, model: icl.ICLModel, seed: int) -> None:
    by_hand = steps_by_hand(model, seed)
    for name in ("gd", "lcgd", "gd:random_update", "icl:unrelated_text", "icl:reordered"):
        at = {"comparison": name, "variant": "trained", "seed": seed, "lr": 0}
        expected = plain_cosine(*(by_hand[key]["attn_out"] for key in ("zs", "icl", name)))
        np.testing.assert_allclose(result.queries.sim_aou.sel(at), expected, atol=2e-4)
        np.testing.assert_allclose(result.means.sim_aou.sel(at), expected.mean(axis=0), atol=2e-4)
        shift = (by_hand[name]["resid_post"] - by_hand["zs"]["resid_post"]).norm(dim=-1) / by_hand["zs"][
            "resid_post"
        ].norm(dim=-1)
        np.testing.assert_allclose(result.means["size"].sel(at), shift.mean(dim=0).numpy(), rtol=1e-3, atol=1e-6)
        if name in by_hand["updates"]:
            assert result.means.relative_norm.sel(at).item() == pytest.approx(
                by_hand["updates"][name].relative_norm(), rel=1e-4
            )
    at = {"comparison": "lcgd:shuffled_labels", "variant": "trained", "seed": seed, "lr": 0}
    each = [plain_cosine(*(a["attn_out"] for a in (by_hand["zs"], by_hand["icl"], ft))) for ft in by_hand["permuted"]]
    np.testing.assert_allclose(result.queries.sim_aou.sel(at), np.mean(each, axis=0), atol=2e-4)
    right = [
        (ft.label_scores.argmax(-1) == torch.tensor(by_hand["labels"])).double().mean() for ft in by_hand["permuted"]
    ]
    at = {"setting": "ft:lcgd:shuffled_labels", "variant": "trained", "seed": seed, "lr": 0}
    assert result.means.accuracy.sel(at).item() == pytest.approx(float(np.mean(right)))
    for name in ("zs", "icl", "gd"):
        setting = name if name in ("zs", "icl") else f"ft:{name}"
        right = by_hand[name].label_scores.argmax(-1) == torch.tensor(by_hand["labels"])
        at = {"setting": setting, "variant": "trained", "seed": seed, "lr": 0}
        assert result.means.accuracy.sel(at).item() == pytest.approx(right.double().mean().item())


def test_untrained_models_are_drawn_by_seed_under_both_updates(result: icl.Comparison, model: icl.ICLModel) -> None:
    prompts = icl.build_prompts(model, small_task(), k=3, n_queries=6, seed=1)
    untrained = model.untrained(1)
    zs, behind = icl.capture(untrained, prompts, "zs"), icl.capture(untrained, prompts, "icl")
    with icl.layer_causal_gd(untrained, prompts, lr=0.02).applied(untrained):
        ft = icl.capture(untrained, prompts, "zs")
    expected = icl.metrics.sim_aou(zs, behind, ft)
    at = {"comparison": "lcgd", "variant": "untrained", "seed": 1, "lr": 0}
    np.testing.assert_allclose(result.queries.sim_aou.sel(at), expected.numpy(), atol=1e-3)


def test_own_metrics_run_through_every_control(result: icl.Comparison) -> None:
    size = result.means["size"].isel(lr=0, seed=0).sel(variant="trained")
    assert size.dims == ("comparison", "layer")
    assert not np.isnan(size).any()
    # the random direction is as long as the shift of the first update
    np.testing.assert_allclose(size.sel(comparison="random_direction"), size.sel(comparison="gd"), rtol=1e-3)
    count = result.means["count"].sel(variant="trained")
    assert count.dims == ("comparison", "seed", "lr")
    assert (count == 6).all()
    assert result.measures[-2:] == ["size", "count"]


def test_the_model_is_left_as_it_was(model: icl.ICLModel) -> None:
    before = model.hash()
    icl.compare(model, small_task(), lr=0.1, controls="none", **{**COMMON, "seeds": 1})
    assert model.hash() == before
    assert not model.applied


def test_repeats_bit_for_bit_and_survives_the_disk(result: icl.Comparison, model: icl.ICLModel, tmp_path: Path) -> None:
    options = {**COMMON, "lr": 0.05, "controls": "essential", "updates": "gd"}
    first, second = (icl.compare(model, small_task(), **options) for _ in range(2))
    xr.testing.assert_identical(first.means, second.means)
    loaded = icl.Comparison.load(result.save(tmp_path / "run.nc"))
    xr.testing.assert_identical(loaded.data, result.data)
    xr.testing.assert_identical(loaded.examples, result.examples)
    assert loaded.provenance == result.provenance


def test_provenance(result: icl.Comparison, model: icl.ICLModel) -> None:
    p = result.provenance
    assert p["model"]["hash"] == model.hash()
    assert p["model"]["dtype"] == "float32"
    assert p["task"]["name"] == "small"
    assert p["plan"]["loss"] == "label"
    assert p["plan"]["wrong_task"] == "other"
    assert p["k_by_seed"] == [3, 3]
    assert len(set(p["prompts"])) == 2
    assert "torch" in p["versions"]


def test_examples_show_whole_prompts(result: icl.Comparison, model: icl.ICLModel) -> None:
    tokens, roles = result.example_tokens(1)
    prompts = icl.build_prompts(model, small_task(), k=3, n_queries=6, seed=0)
    ids = prompts.sequence(1)
    assert len(tokens) == len(roles) == len(ids)
    assert roles[0] == "bos"
    assert roles.count("forerunner") >= 4
    pattern = result.examples.pattern.isel(example=1)
    assert list(pattern.setting.values) == ["zs", "icl", "ft:gd"]
    np.testing.assert_allclose(pattern.isel(token=slice(0, len(ids))).sum("token"), 1, atol=1e-5)
    n_context = len(prompts.contexts[0].tokens)
    assert np.isnan(pattern.sel(setting="zs").values[..., 1:n_context]).all()
    assert not np.isnan(pattern.sel(setting="icl").values[..., : len(ids)]).any()


def test_a_grid_of_rates_shares_what_does_not_depend_on_them(model: icl.ICLModel) -> None:
    result = icl.compare(model, small_task(), lr=[0.0, 0.05], controls=["icl:reordered"], updates=("gd",), **COMMON)
    assert result.means.sizes["lr"] == 2
    at = {"variant": "trained"}
    # a learning rate of zero moves nothing: all masked and counted, predictions those of zero-shot
    assert np.isnan(result.means.sim_aou.sel(comparison="gd", lr=0, **at)).all()
    assert (result.means.sim_aou_n_masked.sel(comparison="gd", lr=0, **at) == 6).all()
    np.testing.assert_array_equal(
        result.means.label_nll.sel(setting="ft:gd", lr=0, **at), result.means.label_nll.sel(setting="zs", lr=0, **at)
    )
    assert not np.isnan(result.means.sim_aou.sel(comparison="gd", lr=1, **at)).any()
    reordered = result.means.sim_aou.sel(comparison="icl:reordered", **at)
    np.testing.assert_array_equal(reordered.isel(lr=0), reordered.isel(lr=1))


def test_auto_walks_up_to_the_rate_with_the_likeliest_held_out_labels(model: icl.ICLModel) -> None:
    task = small_task()
    result = icl.compare(model, task, controls="none", updates=("gd",), **COMMON)
    data = result.means
    chosen, curve = data.lr_value.item(), data.rate_label_nll.sel(update="gd")
    refused = data.rate_refused.sel(update="gd").values
    sane = np.where(refused == 0, curve.values, np.inf)
    assert float(data.rate[int(np.argmin(sane))]) == chosen
    # the same numbers by hand: over three draws, training examples that are no demonstrations of that draw
    losses, moved = [], []
    for seed in range(3):
        prompts = icl.build_prompts(model, task, k=3, n_queries=6, seed=seed, queries_from="train")
        assert not {q.index for q in prompts.queries} & {d.index for d in prompts.demonstrations}
        zs = icl.capture(model, prompts, "zs", ("attn_out",))
        with icl.gradient_descent(model, prompts, lr=chosen).applied(model):
            ft = icl.capture(model, prompts, "zs", ("attn_out",))
        losses.append(-np.mean([ft.label_scores[j, q.label].item() for j, q in enumerate(prompts.queries)]))
        unit = [torch.nn.functional.normalize(a["attn_out"], dim=-1) for a in (zs, ft)]
        moved.append((1 - (unit[0] * unit[1]).sum(-1)).mean(0).numpy())
    at = {"update": "gd", "rate": chosen}
    assert data.rate_label_nll.sel(at).item() == pytest.approx(np.mean(losses), abs=1e-5)
    np.testing.assert_allclose(data.rate_label_nll_by_draw.sel(at), losses, atol=1e-5)
    np.testing.assert_allclose(data.rate_displacement.sel(at), np.mean(moved, axis=0), atol=1e-5)
    parts = data.rate_nll_mass.sel(at).item() + data.rate_nll_conditional.sel(at).item()
    assert parts == pytest.approx(np.mean(losses), abs=1e-5)
    assert data.rate_sim_aou.dims == ("update", "rate", "layer")
    assert any("held-out training examples (3 draws" in note for note in result.notes)


def test_preset_reads_at_the_label(model: icl.ICLModel) -> None:
    result = icl.compare(
        model, small_task(), preset="deutch2024", lr=0.01, updates=("gd",), controls=["random_direction"], **COMMON
    )
    plan = result.provenance["plan"]
    assert (plan["loss"], plan["position"], plan["separator"], plan["direction"]) == (
        "all",
        "label",
        "<eos>",
        "uniform",
    )
    assert any("tiny" in d or "gpt2" in d for d in plan["deviations"])
    prompts = icl.build_prompts(model, small_task(), k=3, n_queries=6, seed=0, separator="<eos>")
    zs, behind = (icl.capture(model, prompts, s, position="label") for s in ("zs", "icl"))
    with icl.gradient_descent(model, prompts, lr=0.01, loss="all").applied(model):
        ft = icl.capture(model, prompts, "zs", position="label")
    at = {"comparison": "gd", "variant": "trained", "seed": 0, "lr": 0}
    np.testing.assert_allclose(
        result.means.sim_aou.sel(at), icl.metrics.sim_aou(zs, behind, ft).mean(0).numpy(), atol=1e-4
    )
    assert result.example_tokens(0)[1][-1] == "label"


def test_own_update(model: icl.ICLModel) -> None:
    def half(subject: icl.ICLModel, prompts: icl.PromptSet, lr: float) -> icl.WeightUpdate:
        return icl.gradient_descent(subject, prompts, lr=lr).scaled(0.5)

    options = {**COMMON, "seeds": 1, "lr": 0.05, "controls": "none"}
    result = icl.compare(model, small_task(), updates={"gd": None, "half": half}, **options)
    norm = result.means.relative_norm.isel(variant=0, seed=0, lr=0)
    assert norm.sel(comparison="half").item() == pytest.approx(norm.sel(comparison="gd").item() / 2, rel=1e-5)
    assert "half - gd" in result.means.contrast.values


def test_a_rate_that_diverges_is_noted_on_a_grid_and_an_error_alone(model: icl.ICLModel) -> None:
    options = {**COMMON, "seeds": 1, "controls": "none", "updates": "gd"}

    def fragile(subject: icl.ICLModel, prompts: icl.PromptSet, lr: float) -> icl.WeightUpdate:
        if lr > 1:
            raise UpdateError("the loss is not finite")
        return icl.gradient_descent(subject, prompts, lr=lr)

    result = icl.compare(model, small_task(), lr=[0.1, 10.0], **{**options, "updates": {"fragile": fragile}})
    assert np.isnan(result.means.sim_aou.isel(comparison=0, variant=0, seed=0).values[1]).all()
    assert not np.isnan(result.means.sim_aou.isel(comparison=0, variant=0, seed=0).values[0]).any()
    assert any("learning rate 10" in note for note in result.notes)
    with pytest.raises(UpdateError):
        icl.compare(model, small_task(), lr=10.0, **{**options, "updates": {"fragile": fragile}})


def test_what_the_window_cut_is_told(model: icl.ICLModel) -> None:
    options = {**COMMON, "k": 20, "seeds": 1, "controls": "none", "lr": 0.01, "updates": "gd"}
    with pytest.warns(ICLMechWarning, match="of the 20 demonstrations"):
        result = icl.compare(model, small_task(), **options)
    assert result.provenance["k"] < result.provenance["k_requested"] == 20
    assert any("of the 20 demonstrations" in note for note in result.notes)


def test_free_text_tasks(model: icl.ICLModel) -> None:
    records = [{"text": f"{w} {i}", "answer": WORDS[i % 8]} for i, w in enumerate(WORDS * 2)]
    task = icl.Task.from_records(records, records, template="{text} =", target_field="answer", name="free")
    result = icl.compare(model, task, lr=0.05, controls="none", **{**COMMON, "seeds": 1})
    accuracy = result.means.accuracy  # of the first answer token over the whole vocabulary
    assert ((accuracy >= 0) & (accuracy <= 1)).all()
    prompts = icl.build_prompts(model, task, k=COMMON["k"], n_queries=COMMON["n_queries"], seed=0, n_contexts=1)
    acts = icl.capture(model, prompts, "icl", ("logits",))
    first = torch.tensor([query.target_tokens[0] for query in prompts.queries])
    right = (acts["logits"].argmax(-1) == first).double().mean().item()
    assert accuracy.sel(setting="icl", variant="trained").item() == pytest.approx(right)
    assert not np.isnan(result.means.label_nll).any()
    assert not np.isnan(result.means.sim_aou).any()


def test_bad_requests(model: icl.ICLModel) -> None:
    task = small_task()

    def ask(**changes: Any) -> None:
        icl.compare(model, task, **{**COMMON, "lr": 0.01, **changes})

    for changes, message in (
        ({"k": 0}, "k=0"),
        ({"sites": ("attn_out",)}, "attn_scores"),
        ({"controls": ("wrong_task",)}, "needs another task"),
        ({"updates": ("adam",)}, "'adam'"),
        ({"metrics": {"sim_aou": size_of_shift}}, "sim_aou"),
        ({"metrics": {"m": lambda zs, icl, ft: torch.zeros(5)}}, r"'m' gave shape \(5,\) for 6 queries"),
    ):
        with pytest.raises(CompareError, match=message):
            ask(**changes)
    with pytest.raises(CompareError, match=r"metric 'm' failed .* ZeroDivisionError: division by zero") as caught:
        ask(metrics={"m": lambda zs, icl, ft: 1 / 0}, controls="none")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_random_direction_is_centred_noise_and_uniform_only_as_published(model: icl.ICLModel) -> None:
    options: dict[str, Any] = {"k": 2, "n_queries": 6, "seeds": 1, "updates": "gd", "n_boot": 20, "progress": False}
    found = icl.compare(model, small_task(), lr=0.1, controls=("random_direction",), keep_queries=True, **options)
    prompts = icl.build_prompts(model, small_task(), k=2, n_queries=6, seed=0, n_contexts=1)
    zs, other = (icl.capture(model, prompts, s, ("attn_out",))["attn_out"] for s in ("zs", "icl"))
    noise = torch.randn(zs.shape, generator=rng(0, "random direction"))
    at = {"comparison": "random_direction", "variant": "trained", "seed": 0, "lr": 0}
    shift = torch.nn.functional.normalize(other, dim=-1) - torch.nn.functional.normalize(zs, dim=-1)
    wanted = torch.nn.functional.cosine_similarity(shift, noise, dim=-1)
    np.testing.assert_allclose(found.queries["sim_aou"].sel(at).values, wanted.numpy(), atol=1e-5)


def test_what_controls_make_of_the_prompts_is_made_once(model: icl.ICLModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = icl.PromptSet.with_shuffled_labels
    monkeypatch.setattr(
        icl.PromptSet, "with_shuffled_labels", lambda self, seed=0: made.append(seed) or real(self, seed)
    )
    controls = ("shuffled_labels", "icl:shuffled_labels")
    options: dict[str, Any] = {"k": 2, "n_queries": 4, "seeds": 2, "n_boot": 20, "progress": False}
    icl.compare(model, small_task(), lr=0.1, controls=controls, n_permutations=1, **options)
    assert made == [0, 1]


def test_a_file_without_what_came_later_still_opens(result: icl.Comparison, tmp_path: Path) -> None:
    later = ("displacement", "above_constant", "answer_share", "chance", "matched_")
    means = result.means.drop_vars([str(v) for v in result.means.data_vars if str(v).startswith(later)])
    new = ("matched_update", "icl:shuffled_labels", "icl:unrelated_text", "icl:wrong_task")
    for axis in ("comparison", "setting", "contrast"):
        kept = [n for n in means[axis].values if (axis == "setting" and str(n) in new) or not str(n).endswith(new)]
        means = means.sel({axis: kept})
    old = icl.Comparison(means, None, result.examples)
    again = icl.Comparison.load(old.save(tmp_path / "old.nc"))
    assert "displacement" not in again.means
    table = again.summary()
    assert {"sim_aou", "accuracy"} <= set(table["measure"])
    assert not table["name"].str.contains("matched").any()
    assert again.answer()
    assert again.claims() is not None
