"""`steer`: its numbers against the same thing done by hand, its controls, its verdicts, and every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech import vectors
from iclmech.experiments import ExperimentError, Steering, command_of
from iclmech.experiments._ablated_heads import of_same_layers
from iclmech.experiments.steering._dataset import LEADS, SteeringNumbers, dataset_of
from iclmech.experiments.steering._training_prompts import training_prompts
from iclmech.experiments.steering._trials import Grid, SeedNumbers

SMALL = {"k": 6, "n_queries": 12, "seeds": 2, "n_fit": 8, "n_held_out": 4, "n_random": 2, "n_permutations": 2}


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def result(model: icl.ICLModel) -> Steering:
    return icl.steer(model, "mini/sentiment", strengths=(0.0, 0.5, 1.0), **SMALL)  # type: ignore[arg-type]  # plain values


def test_the_axes_are_those_of_the_contract(result):
    dims = ("setting", "control", "seed", "layer", "strength")
    assert result.data["accuracy"].dims == dims
    assert list(result.data["setting"].values) == ["zs", "icl", "vector"]
    assert list(result.data["control"].values) == ["none", "random", "wrong_task", "shuffled_labels", "own"]
    assert result.data["chosen_layer"].dims == ("seed",)
    assert result.kind == "steer"
    assert "steer" in icl.list_experiments()


def test_a_querys_own_state_at_the_last_layer_is_the_context_exactly(result):
    for measure in ("accuracy", "log_prob"):
        at = {"strength": 1.0, "layer": 3}
        own = result.data[measure].sel(setting="vector", control="own", **at)
        icl_ = result.data[measure].sel(setting="icl", control="none", **at)
        assert np.array_equal(own.values, icl_.values)
    first = result.data["log_prob"].sel(setting="vector", control="own", strength=1.0, layer=0)
    assert not np.allclose(first.values, icl_.values)


def test_strength_zero_is_zero_shot_under_every_control(result):
    for n, layer in enumerate(result.data["chosen_layer"].values):
        at = {"layer": layer, "strength": 0.0}
        here = result.data["log_prob"].isel(seed=n).sel(setting="vector", **at)
        zs = float(result.data["log_prob"].isel(seed=n).sel(setting="zs", control="none", **at))
        for control in ("none", "random", "wrong_task", "shuffled_labels"):
            assert float(here.sel(control=control)) == pytest.approx(zs, abs=1e-6)


def test_every_number_of_a_seed_is_that_of_the_vector_put_in_by_hand(model, result):
    task = icl.load_task("mini/sentiment")
    prompts = icl.build_prompts(model, task, 6, 12, seed=1)
    training = training_prompts(model, task, 6, 1, 8, 4)
    vector = vectors.task_vector(model, training.fit, held_out=training.held_out)
    assert vector.layer == int(result.data["chosen_layer"].sel(seed=1))
    randoms = [vector.like("random", seed=2 + draw) for draw in range(2)]
    for control, several in (("none", [vector]), ("random", randoms)):
        for layer in range(4):
            scores = []
            for one in several:
                with one.applied(model, layer=layer):
                    scores.append(float(icl.capture(model, prompts, "zs", ()).target_scores.mean()))
            at = {"setting": "vector", "control": control, "seed": 1, "layer": layer, "strength": 1.0}
            assert float(result.data["log_prob"].sel(at)) == pytest.approx(np.mean(scores), abs=1e-4)
    acts = icl.capture(model, prompts, "icl", ())
    found = float(result.data["accuracy"].sel(setting="icl", control="none", seed=1, layer=0, strength=1.0))
    assert found == pytest.approx(float(icl.metrics.accuracy(acts, prompts.labels)))


def test_the_layer_is_the_best_on_held_out_queries_which_no_vector_has_seen(model, result):
    for seed in (0, 1):
        at = result.data.sel(seed=seed)
        curve = list(zip(at["held_out_accuracy"].values, at["held_out_log_prob"].values, -np.arange(4), strict=True))
        assert int(at["chosen_layer"]) == -max(curve)[2]
    training = training_prompts(model, icl.load_task("mini/held-pair"), 5, 3, 8, 4)
    held = {q.text for q in training.held_out.queries}
    seen = {q.text for q in training.fit.queries} | {d.text for c in training.fit.contexts for d in c.demonstrations}
    assert not held & seen
    words = {tuple(c.label_words) for c in (*training.fit.contexts, *training.held_out.contexts)}
    assert words == {
        tuple(icl.build_prompts(model, icl.load_task("mini/held-pair"), 5, 4, seed=3).contexts[0].label_words)
    }
    for query in training.fit.queries:
        assert query.text not in {d.text for d in training.fit.contexts[query.context].demonstrations}


def test_it_is_saved_claimed_answered_drawn_and_reported(result, tmp_path: Path):
    again = icl.load(result.save(tmp_path / "r.nc"))
    assert isinstance(again, Steering)
    assert again.data.equals(result.data)
    claims = result.claims().set_index("claim")
    assert "a task vector stands in for the context" in claims.index
    assert claims.loc["the model learns in context", "verdict"] == "not shown"  # two seeds carry no verdict
    assert set(result.figures()) == {"vector_by_layer", "strength"}
    assert any("zero-shot" in s for s in result.answer())
    page = icl.write_report(result, tmp_path / "r.html").read_text()
    assert "Can a task vector stand in for the context of icl-mini" in page
    assert command_of(result) == (
        "iclmech steer --model icl-mini --task mini/sentiment --k 6 --n-queries 12 --seeds 2 --strengths 0,0.5,1 --n-fit 8 "
        "--n-held-out 4 --n-random 2 --n-permutations 2 --out runs/again"
    )


def test_a_learned_vector_runs_with_vectors_of_permuted_answers(model):
    found = icl.steer(model, "mini/held-pair", "learned", layers=(1, 3), strengths=(1.0,), steps=15, **SMALL)  # type: ignore[arg-type]  # plain values
    table = found.data["log_prob"].sel(setting="vector", strength=1.0).mean("seed")
    assert list(found.data["layer"].values) == [1, 3]
    assert float(table.sel(control="none").max()) > float(
        found.data["log_prob_chosen"].sel(setting="zs", control="none")
    )
    assert np.isfinite(table.values).all()
    assert set(found.figures()) == {"vector_by_layer"}


def test_vectors_of_all_layers_together_have_one_place_and_their_strength_is_chosen(model, monkeypatch):
    found = icl.steer(model, "mini/sentiment", "in_context", strengths=(-0.05, 0.05), **SMALL)  # type: ignore[arg-type]  # plain values
    assert list(found.data["layer"].values) == [-1]
    assert np.isfinite(found.data["accuracy"].sel(setting="vector").values).all()
    assert set(found.data["chosen_strength"].values) <= {-0.05, 0.05}
    own = found.data["log_prob"].sel(setting="vector", control="own", layer=-1)
    torch.testing.assert_close(
        torch.tensor(own.values),
        torch.tensor(found.data["log_prob"].sel(setting="icl", control="none", layer=-1).values),
    )
    effects = type("Effects", (), {"top": lambda self, n: [(0, 1), (2, 2)][:n]})
    monkeypatch.setattr(vectors, "head_effects", lambda model, prompts, n: effects(), raising=False)
    for variant, layers in (("sum", [0, 1, 2, 3]), ("distributed", [-1])):
        found = icl.steer(model, "mini/sentiment", "function", variant=variant, n_heads=2, strengths=(1.0,), **SMALL)  # type: ignore[arg-type]  # plain values
        assert list(found.data["layer"].values) == layers
        assert found.provenance["heads"] == [[[0, 1], [2, 2]]] * 2


def test_a_function_vector_is_held_against_those_of_other_heads_of_the_same_layers(model, monkeypatch, tmp_path):
    effects = type("Effects", (), {"top": lambda self, n: [(1, 0), (3, 2)][:n]})
    monkeypatch.setattr(vectors, "head_effects", lambda model, prompts, n: effects(), raising=False)
    more = {**SMALL, "n_heads": 2, "variant": "distributed", "strengths": (1.0,)}
    found = icl.steer(model, "mini/sentiment", "function", **more)  # type: ignore[arg-type]  # plain values
    assert list(found.data["control"].values).index("random_heads") == 2
    task, scores = icl.load_task("mini/sentiment"), []
    prompts, training = icl.build_prompts(model, task, 6, 12, seed=1), training_prompts(model, task, 6, 1, 8, 4)
    for draw in range(2):
        heads = of_same_layers([(1, 0), (3, 2)], 4, 1, draw)
        assert [n for n, _ in heads] == [1, 3]
        assert not {(1, 0), (3, 2)} & set(heads)
        vector = vectors.function_vector(model, training.fit, heads, "distributed")
        with vector.applied(model):
            scores.append(float(icl.capture(model, prompts, "zs", ()).target_scores.mean()))
    at = {"setting": "vector", "control": "random_heads", "seed": 1, "layer": -1, "strength": 1.0}
    assert float(found.data["log_prob"].sel(at)) == pytest.approx(np.mean(scores), abs=1e-4)
    claims = icl.load(found.save(tmp_path / "f.nc")).claims()["claim"]
    assert "the function vector does more than that of other heads of the same layers" in list(claims)
    assert any("that of other heads of the same layers" in sentence for sentence in found.answer())


def test_what_makes_no_sense_is_refused(model):
    for wrong, text in (
        ({"method": "state"}, "task, function, in_context, learned"),
        ({"variant": "pc"}, "task has none"),
        ({"layers": (9,)}, "layers 0 to 3"),
    ):
        with pytest.raises(ExperimentError, match=text):
            icl.steer(model, "mini/sentiment", **wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_lead_that_is_the_same_in_every_query_has_an_interval_and_a_verdict():
    layers, found = Grid((0,), (1.0,), 1.0), SteeringNumbers((0, 1, 2))
    for _ in found.seeds:
        one = SeedNumbers()
        for setting, control in {side for sides in LEADS.values() for side in sides}:
            right = float((setting, control) in (("icl", "none"), ("vector", "none"), ("vector", "own")))
            for measure in ("accuracy", "log_prob"):
                one.values[measure, setting, control] = np.full((20, 1, 1), right)
            one.n_answers[setting, control] = np.ones((1, 1))
        found.add(one, 0, 1.0, {"accuracy": [1.0], "log_prob": [0.0]}, np.ones(1))
    data = dataset_of(found, layers, 0.95)
    result = Steering(data, provenance={"title": "task vector", "usual_strength": 1.0})
    verdicts = {claim.claim: claim.verdict for claim in result.judged()}
    assert verdicts["the model learns in context"] == "holds"
    assert verdicts["a task vector stands in for the context"] == "holds"
    assert verdicts["the query's own state at that layer carries the answer"] == "holds"
