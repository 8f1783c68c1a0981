"""Training of learners: resumable, a function of recipe and seed; and what the shipped ones can do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import iclmech as icl
from iclmech._base import ModelError, TaskError
from iclmech.functions._training import FunctionBatches
from iclmech.mini import list_mini_models, mini_model_dir
from iclmech.training import GPT2Config

fn = icl.functions
TINY = fn.FunctionRecipe(
    "tiny", ("LinearRegression(d=2, noise=0.5)",), n_examples=4, batch=16, steps=30, every=10, snapshots=(20,),
    net=GPT2Config(1, 16, 2, 9),
)  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_run_that_was_interrupted_ends_bit_for_bit_where_it_would_have(tmp_path: Path) -> None:
    whole = weights(fn.train(TINY, tmp_path / "whole", 0))
    fn.train(TINY, tmp_path / "parts", 0, max_steps=13)
    parts = weights(fn.train(TINY, tmp_path / "parts", 0))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    history = json.loads((tmp_path / "parts" / "history.json").read_text())
    assert history["rows"][-1]["step"] == 30
    assert "families" in history["recipe"]
    assert (tmp_path / "whole" / "snapshots" / "step-20" / "model.safetensors").is_file()
    with pytest.raises(ModelError, match="another recipe or seed"):
        fn.train(TINY, tmp_path / "whole", 1)


def test_batches_depend_on_seed_and_step_alone() -> None:
    first, later = FunctionBatches(TINY, 0), FunctionBatches(TINY, 0)
    for _ in range(18):
        wanted = next(first)[0]
    later.load_state_dict({"step": 17})
    assert torch.equal(next(later)[0].x, wanted.x)
    assert not torch.equal(next(FunctionBatches(TINY, 1))[0].x, next(FunctionBatches(TINY, 0))[0].x)


def test_two_families_share_a_batch() -> None:
    recipe = dataclasses.replace(fn.recipe_of("conjunctions"), batch=8)
    random, teaching = next(FunctionBatches(recipe, 0))
    assert len(random) == len(teaching) == 4
    assert (teaching.y[:, 0] == 1).all()
    assert not (random.y[:, 0] == 1).all()


def test_recipes_and_families_are_read_or_refused_by_name() -> None:
    assert set(fn.list_recipes()) >= {"linear", "pool8", "mixture", "conjunctions", "representation", "automata"}
    for name in fn.list_recipes():
        recipe = fn.recipe_of(name)
        for text in recipe.families:
            family = fn.family_of(text)
            assert fn.family_of(fn.family_name(family)) == family
            n = recipe.n_examples + 1 if family.kind == "symbols" else 2 * recipe.n_examples + 1
            assert recipe.net.n_ctx == n
    with pytest.raises(TaskError, match="'linear'"):
        fn.recipe_of("nonsense")
    with pytest.raises(fn.FunctionError, match="LinearRegression"):
        fn.family_of("Nonsense(d=2)")
    with pytest.raises(fn.FunctionError, match="with its arguments"):
        fn.family_of("__import__('os')")


def test_shipped_learners_are_small_and_listed() -> None:
    names = [name for name in list_mini_models() if name.startswith("fn-")]
    assert {"fn-linear", "fn-linear@step-1000", "fn-pool8", "fn-automata"} <= set(names)
    data = mini_model_dir("fn-linear").parent
    files = [f for f in data.rglob("*") if f.is_file() and any(p.startswith("fn-") for p in f.parts)]
    assert sum(f.stat().st_size for f in files) <= 3e6
    assert all(t.dtype == torch.float16 for t in load_file(data / "fn-linear" / "model.safetensors").values())


def mean_distance(model, prompts, answers) -> float:
    return float((fn.predict(model, prompts) - answers).square().mean() / prompts.d)


def test_fn_linear_answers_like_ridge() -> None:
    prompts = fn.LinearRegression(d=5, noise=0.5).prompts(256, 12, seed=5)
    model = icl.load_model("fn-linear")
    ridge = mean_distance(model, prompts, fn.predictors.ridge(prompts, 0.25))
    assert ridge < 0.02
    for rival in ("averaging", "zero", "knn-3"):
        assert mean_distance(model, prompts, fn.predictors.predict(rival, prompts)) > 10 * ridge
    early = icl.load_model("fn-linear@step-250")
    assert mean_distance(early, prompts, fn.predictors.ridge(prompts, 0.25)) > 5 * ridge


def test_fn_pool8_remembers_its_tasks() -> None:
    pool = fn.TaskPool(base=fn.LinearRegression(d=5, noise=0.5), n_tasks=8)
    prompts, model = pool.prompts(256, 12, seed=5), icl.load_model("fn-pool8")
    own = mean_distance(model, prompts, fn.predictors.dmmse(prompts))
    assert own < 0.05
    assert mean_distance(model, prompts, fn.predictors.ridge(prompts, 0.25)) > 3 * own


def test_fn_automata_is_not_worse_than_trigrams() -> None:
    prompts, model = fn.Automata().prompts(64, 80, seed=5), icl.load_model("fn-automata")
    truth = prompts.truth["distribution"]
    answers = {"learner": fn.predict(model, prompts), "3-gram": fn.predictors.ngram(prompts, 3)}
    late = {name: float((p - truth).abs().sum(-1)[:, 55:].mean() / 2) for name, p in answers.items()}
    assert late["learner"] < late["3-gram"] + 0.01


def test_fresh_points_behind_every_prefix_are_prompts_that_end_there() -> None:
    prompts, model = fn.LinearRegression(d=5, noise=0.5).prompts(3, 6, seed=1), icl.load_model("fn-linear")
    fresh = prompts.fresh(seed=2)
    found = fn.predict(model, fresh)
    for n in (0, 3, 5):
        x = prompts.x.clone()
        x[:, n] = fresh.queries[:, n]
        alone = fn.predict(model, dataclasses.replace(prompts, x=x))[:, n]
        assert (found[:, n] - alone).abs().max() < 1e-5
    assert torch.equal(fn.layer_lens(model, prompts)[-1], fn.predict(model, prompts))


def test_a_family_of_another_size_is_refused() -> None:
    with pytest.raises(fn.FunctionError, match="has 7 tokens"):
        fn.predict(icl.load_model("fn-linear"), fn.LinearRegression(d=3).prompts(2, 4))


def test_fn_mixture_is_nearer_to_the_posterior_than_to_ridge_or_a_component() -> None:
    family = fn.Mixture()
    prompts, model = family.prompts(256, 12, seed=5), icl.load_model("fn-mixture")
    posterior = family.posterior(prompts)
    own = mean_distance(model, prompts, posterior.mean)
    rivals = [fn.predictors.ridge(prompts, 0.25), *posterior.component_mean.unbind(-1)]
    assert own < 0.1
    assert all(mean_distance(model, prompts, rival) > 3 * own for rival in rivals)


def test_fn_conjunctions_uses_what_inputs_tell() -> None:
    family, model = fn.Conjunctions(d=6), icl.load_model("fn-conjunctions")
    prompts = family.prompts(128, 14, seed=5)
    answers = fn.predict(model, prompts)
    full, naive = (float((answers - family.bayes(prompts, use)).abs().mean()) for use in (True, False))
    assert full < 0.09
    assert naive > 1.5 * full
    teaching = fn.TeachingSequences(d=6).prompts(128, 14, seed=5)
    right = (fn.predict(model, teaching) > 0.5) == (teaching.y > 0.5)
    assert right[:, 2:].double().mean() > 0.98
