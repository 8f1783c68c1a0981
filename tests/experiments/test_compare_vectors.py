"""Vectors by name in `compare`: made of the demonstrations alone, with controls of their own, masked where they cannot act."""

from __future__ import annotations

import numpy as np
import pytest

import iclmech as icl
from iclmech.experiments import CompareError
from iclmech.experiments.comparison._plan import controls_of
from iclmech.vectors import StandIn, VectorError, each_as_query
from iclmech.vectors._stand_in import in_context, task

CONTROLS = ("random_update", "random_vector", "matched_update", "shuffled_labels", "wrong_task")


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def prompts(model: icl.ICLModel) -> icl.PromptSet:
    return icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=8)


@pytest.fixture(scope="module")
def result(model: icl.ICLModel) -> icl.Comparison:
    return icl.compare(  # type: ignore[return-value]  # no estimate was asked for
        model, "mini/sentiment", k=4, n_queries=8, updates=("gd", "task_vector"), seeds=1, lr=0.03, controls=CONTROLS,
        n_permutations=2,
    )  # fmt: skip


def test_every_demonstration_is_a_query_behind_the_others(prompts):
    made = each_as_query(prompts)
    context = prompts.contexts[0]
    for n, d in enumerate(context.demonstrations):
        begin = d.context_start
        stop = begin + len(d.tokens) - 1 + len(context.separator)
        others = [*context.tokens[:begin], *context.tokens[stop:]]
        assert made.sequence(n) == [*others, *d.tokens[1 : d.label_span[0]]]
        assert made.queries[n].target_tokens == context.label_tokens[d.label]
    with pytest.raises(VectorError, match="at least two"):
        each_as_query(prompts.with_contexts([context.with_demonstrations(context.demonstrations[:1])]))


def test_vectors_have_the_controls_of_vectors_and_updates_those_of_updates(result):
    names = set(map(str, result.data["comparison"].values))
    assert {"task_vector", "task_vector:random_vector", "task_vector:matched_update"} <= names
    assert {"task_vector:wrong_task", "task_vector:shuffled_labels", "gd:random_update"} <= names
    assert not {"gd:random_vector", "task_vector:random_update"} & names
    assert float(result.data["lr_value"].sel(update="task_vector").values[0]) == 1.0


def test_its_numbers_are_those_of_the_vector_put_in_by_hand_and_layers_before_it_are_masked(model, prompts, result):
    stand_in = task(model, prompts)
    zs, context = (icl.capture(model, prompts, s, ("attn_out",)) for s in ("zs", "icl"))
    with stand_in.applied(model):
        ft = icl.capture(model, prompts, "zs", ("attn_out",))
    expected = icl.metrics.sim_aou(zs, context, ft).double().mean(dim=0).numpy()
    found = result.data["sim_aou"].sel(comparison="task_vector", variant="trained").isel(seed=0, lr=0).values
    masked = list(range(stand_in.layer + 1))
    assert stand_in.meta["unreached"] == masked
    assert np.isnan(found[masked]).all()
    np.testing.assert_allclose(found[stand_in.layer + 1 :], expected[stand_in.layer + 1 :], atol=1e-5)
    moved = (
        result.data["displacement"].sel(comparison="task_vector:random_vector", variant="trained").isel(seed=0, lr=0)
    )
    assert np.isnan(moved.values[masked]).all()


def test_a_stand_in_has_the_face_of_an_update(model, prompts):
    one = in_context(model, prompts)
    assert isinstance(one, StandIn)
    assert one.norm() == pytest.approx(0.1 * float(one.vector.values.norm()))
    assert one.random_like(1).norm() == pytest.approx(one.norm())
    assert one.meta["unreached"] == [0]


def test_rates_are_searched_for_updates_and_vectors_go_in_at_their_usual_strength(model):
    names = ("gd", "task_vector", "lcgd")  # two of the same kind, so that they are compared at one displacement, too
    found = icl.compare(model, "mini/sentiment", k=4, n_queries=4, updates=names, seeds=1, controls="none")
    assert isinstance(found, icl.Comparison)
    assert found.data["equal_displacement_difference"].isnull().values.tolist() == [True, True, False]
    rates = found.data["lr_value"].isel(lr=0)
    assert float(rates.sel(update="task_vector")) == 1.0
    assert float(rates.sel(update="gd")) < 1.0
    curve = found.data["rate_label_nll"]
    assert curve.sel(update="task_vector").notnull().sum() == 1
    assert curve.sel(update="gd").notnull().sum() > 5


def test_the_label_specific_similarity_of_a_vector_is_refused(model):
    with pytest.raises(CompareError, match="label_specific=True with task_vector; expected weight updates alone"):
        icl.compare(model, "mini/sentiment", updates=("gd", "task_vector"), label_specific=True)


def test_refined_embeddings_stand_beside_other_contexts_where_they_are_asked_for(model, prompts):
    names = ("icl:tuned_context", "icl:random_context")
    assert not set(names) & set(controls_of(("all",))[0])
    found = icl.compare(
        model, "mini/sentiment", k=4, n_queries=8, updates="gd", seeds=1, lr=0.03, controls=names, calibrate="dc"
    )
    tuned = icl.context_tuning.tune_context(model, prompts)
    zs, context = (icl.capture(model, prompts, s, ("attn_out",)) for s in ("zs", "icl"))
    assert isinstance(found, icl.Comparison)
    for name, edit in zip(names, (tuned, tuned.random(0)), strict=True):
        under = icl.capture(model, prompts, "icl", ("attn_out",), interventions=[edit])
        expected = icl.metrics.sim_aou(zs, context, under).double().mean(dim=0).numpy()
        at = found.data.sel(comparison=name, variant="trained", setting=name).isel(seed=0, lr=0)
        np.testing.assert_allclose(at["sim_aou"].values, expected, atol=1e-5)
        assert 0.5 < expected.mean() < 0.9999
        prior = icl.calibration.prior(model, prompts, "dc", interventions=[edit])
        right = icl.metrics.accuracy(icl.calibration.calibrated(under, prior), prompts.labels)
        assert float(at["accuracy_calibrated"]) == pytest.approx(float(right))
