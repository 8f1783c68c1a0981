"""Experiments on learners: what they measure is what is measured by hand, and they pass through files and commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech.experiments import command_of
from iclmech.functions._ngram_heads import followers
from iclmech.functions._one_task import OneTask, implied_weights
from iclmech.functions._pasting import _nets, learner_net
from iclmech.functions._regret import log_loss
from iclmech.functions._training import answers
from iclmech.functions._updates_states import specific
from iclmech.functions._weights_implied import implied_by_answers
from iclmech.functions._weights_probed import _scores
from iclmech.functions._weights_request import ProbeRequest

fn = icl.functions
LINEAR = fn.LinearRegression(d=5, noise=0.5)
POOL = fn.TaskPool(base=fn.LinearRegression(d=5, noise=0.5), n_tasks=8)


@pytest.fixture(scope="module")
def compared():
    return fn.compare_predictors(
        "fn-linear", LINEAR, ("bayes", "ols", "knn-3", "ridge:matched", "gd:matched"), n_prompts=64, seeds=2
    )


def test_distances_are_squared_differences_over_d(compared) -> None:
    model, total = icl.load_model("fn-linear"), []
    for seed in (0, 1):
        prompts = LINEAR.prompts(64, 12, seed)
        total.append((fn.predict(model, prompts) - LINEAR.bayes(prompts)).square() / 5)
    by_hand = torch.stack(total).mean((0, 1))
    assert np.allclose(compared.data["spd"].sel(predictor="bayes"), by_hand, rtol=1e-6)
    assert np.isnan(compared.data["spd_mean"].sel(predictor="ols"))
    assert np.isclose(compared.data["lens"].sel(predictor="bayes")[-1], by_hand.mean())


def test_gradient_descent_is_claimed_only_against_matched_ridge(compared) -> None:
    claims = compared.claims().set_index("claim")
    gd = claims.loc["is nearer to gradient descent than to any ridge"]
    d = compared.data["spd_mean"]
    assert np.isclose(gd["measured"], float(d.sel(predictor="ridge:matched") - d.sel(predictor="gd:matched")))
    assert claims.loc["learns in context", "verdict"] == "holds"
    assert claims.loc["training made it so", "verdict"] == "holds"


def test_a_result_comes_back_with_its_figures_and_its_command(compared, tmp_path: Path) -> None:
    again = icl.load(compared.save(tmp_path / "r.nc"))
    assert type(again) is fn.PredictorComparison
    assert list(again.figures()) == ["curve", "difference", "lens"]
    assert again.answer() == compared.answer()
    command = command_of(again)
    assert command is not None
    assert "compare-predictors" in command
    assert "LinearRegression" in command


def test_implied_weights_are_those_of_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    points, answers = torch.randn(24, 5, generator=generator).double(), torch.randn(24, generator=generator).double()
    weights, r2 = implied_weights(points, answers)
    by_hand, left, *_ = np.linalg.lstsq(points.numpy(), answers.numpy(), rcond=None)
    assert np.allclose(weights, by_hand)
    assert np.isclose(float(r2), 1 - left[0] / float(answers.square().sum()))


def test_a_learner_of_regression_is_linear_and_an_untrained_one_is_not() -> None:
    result = fn.implicit_weights("fn-linear", LINEAR, (5, 10), n_prompts=8)
    assert float(result.data["linearity"].sel(variant="trained").min()) > 0.98
    assert float(result.data["linearity"].sel(variant="untrained").max()) < 0.6
    assert float(result.data["cosine"].sel(reference="ridge").min()) > 0.97
    assert set(result.claims()["verdict"]) == {"holds"}
    with pytest.raises(fn.FunctionError, match="at least 4 d"):
        implied_by_answers(icl.load_model("fn-linear"), LINEAR.prompts(2, 6), (3,), n_points=10)


def test_probes_find_no_independent_weights_and_read_the_point_where_it_stands() -> None:
    result = fn.probe("fn-linear", LINEAR, n_prompts=400, prefix=6)
    r2 = result.data["r2"].sel(variant="trained")
    assert r2.dims == ("place", "target", "layer")
    assert float(r2.sel(target="independent weights").max()) < 0.1
    function = result.data["r2"].sel(variant="untrained", target=["weights", "ridge weights"])
    assert float(function.max()) < 0.2
    features = r2.sel(target="features", layer=0)
    assert float(features.sel(place="next point")) > 0.99  # the embedding of a point is the point
    assert float(features.sel(place="last value")) < 0.1  # that of its value is not
    claims = result.claims()
    assert len(claims) == 3
    assert claims["rule"].str.contains("correction for 3").all()


def test_scores_of_a_probe_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    generator = torch.Generator().manual_seed(0)
    states = torch.randn(80, 6, generator=generator, dtype=torch.float64)
    target = states[:, :2] + torch.randn(80, 2, generator=generator, dtype=torch.float64)
    scores = _scores(states, target, ProbeRequest(penalty=0.1))
    fitted = states[40:]
    scaled = ((states - fitted.mean(0)) / fitted.std(0)).numpy()
    theirs = Ridge(alpha=0.1 * 40).fit(scaled[40:], target[40:].numpy())
    offset = target[40:].mean(0).numpy()
    for part, rows in enumerate((slice(0, 20), slice(20, 40))):
        left = np.square(target[rows].numpy() - theirs.predict(scaled[rows])).sum()
        by_hand = 1 - left / np.square(target[rows].numpy() - offset).sum()
        assert np.isclose(scores[part].mean(), by_hand, atol=1e-6)
        own = r2_score(target[rows].numpy(), theirs.predict(scaled[rows]), multioutput="variance_weighted")
        assert abs(scores[part].mean() - own) < 0.2  # scikit-learn's is about the mean of the part itself


def test_followers_are_those_of_a_loop() -> None:
    tokens = torch.randint(0, 3, (4, 15), generator=torch.Generator().manual_seed(0))
    for n in (1, 2, 3):
        found = followers(tokens, n)
        for b in range(4):
            for i in range(15):
                for j in range(15):
                    same = (
                        n <= j <= i
                        and i + 1 >= n
                        and tokens[b, j - n : j].tolist() == tokens[b, i - n + 1 : i + 1].tolist()
                    )
                    assert bool(found[b, i, j]) == same


def test_heads_of_the_upper_layer_attend_to_what_followed() -> None:
    result = fn.ngram_heads(n=(1,), n_prompts=3)
    above = result.data["above"].sel(order=1)
    assert float(above.sel(layer=1).max()) > 0.4
    assert float(above.sel(layer=0).max()) < 0.3
    assert list(result.figures()) == ["heads"]
    layer, head = (int(n) for n in result.data["chosen"])
    cost = result.data["cost"].sel(order=1).values
    others = (cost.sum() - cost[layer, head]) / (cost.size - 1)
    assert np.isclose(float(result.data["elsewhere"].sel(order=1)), others - cost[layer, head])
    assert len(result.claims()) == 4
    with pytest.raises(fn.FunctionError, match="family of symbols"):
        fn.ngram_heads("fn-linear", LINEAR)


def test_the_posterior_over_a_pool_loses_at_most_log_of_its_size() -> None:
    result = fn.regret("fn-pool8", POOL, n_prompts=128, seeds=1)
    claims = result.claims().set_index("claim")
    assert claims.loc["the posterior's regret is at most log M", "verdict"] == "holds"
    assert float(result.data["worst"]) <= np.log(8) + 1e-9
    y = torch.randn(2, 3, dtype=torch.float64)
    wanted = -torch.distributions.Normal(torch.zeros(2, 3).double(), 0.5).log_prob(y)
    assert torch.allclose(log_loss(y, torch.zeros_like(y), 0.25), wanted)


def test_one_learner_remembers_its_pool_and_the_other_does_not() -> None:
    result = fn.task_diversity(("fn-pool8", "fn-linear"), (8, 8), n_prompts=64, seeds=2)
    assert list(result.claims()["verdict"]) == ["holds", "does not hold"]


def test_prompts_out_of_distribution_are_measured_beside_bayes() -> None:
    result = fn.out_of_distribution(
        "fn-linear", LINEAR, ("none", "scaled-2", "orthogonal"), n_prompts=6, n_examples=8, seeds=2
    )
    d = result.data
    assert float(d["excess"].sel(change="scaled-2")) > float(d["excess"].sel(change="none"))
    assert np.isnan(d["error"].sel(change="orthogonal")[5:]).all()
    with pytest.raises(fn.FunctionError, match="got the change 'upside-down'"):
        fn.out_of_distribution("fn-linear", LINEAR, ("upside-down",), n_prompts=2, seeds=1)


def test_an_interval_over_prompts_is_that_of_scipy_and_the_family_of_claims_is_counted() -> None:
    from scipy import stats

    result = fn.out_of_distribution(
        "fn-linear", LINEAR, ("none", "scaled-2", "shuffled_y"), n_prompts=6, n_examples=8, seeds=2
    )
    model, gaps = icl.load_model("fn-linear"), []
    for seed in (0, 1):
        prompts = LINEAR.prompts(6, 8, seed)
        far = [(fn.predict(model, p) - LINEAR.bayes(p)).square().mean(1) / 5 for p in (prompts, prompts.scaled(2.0))]
        gaps.append(far[1] - far[0])
    gap = torch.cat(gaps).numpy()
    low, high = stats.t.interval(0.95, 11, gap.mean(), gap.std(ddof=1) / 12**0.5)
    d = result.data.sel(change="scaled-2")
    assert np.allclose(d["farther_ci"], [low, high], rtol=1e-3)
    assert np.isclose(float(d["farther_p"]), stats.ttest_1samp(gap, 0.0).pvalue, rtol=1e-2)
    assert result.claims()["rule"].str.contains("Holm's correction for 2").all()


def test_what_any_context_brings_along_falls_out_of_the_task_s_own_part() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, shift, noise = (torch.randn(7, 2, 5, generator=generator, dtype=torch.float64) for _ in range(4))
    none = torch.zeros(7)

    def states(x: torch.Tensor):
        return dict.fromkeys(("attn_out", "resid_post"), x), none

    icl_a, icl_b = states(a + 50 * shift), states(b + 50 * shift)
    assert np.allclose(specific(icl_a, icl_b, states(a + noise), states(b + noise)), 1.0)
    assert np.allclose(specific(icl_a, icl_b, states(b), states(a)), -1.0)
    assert np.isnan(specific(icl_a, icl_b, None, icl_b)).all()


def test_pairs_behind_points_are_those_that_were_asked_for() -> None:
    one, two = (OneTask.drawn(LINEAR, 4, 20, seed) for seed in (0, 1))
    mixed, turned = one.behind(two), one.reordered(torch.tensor([2, 0, 3, 1]))
    assert torch.equal(mixed.points, one.points)
    assert torch.equal(mixed.rows.x[:, :4], two.rows.x[:, :4])
    assert torch.equal(mixed.rows.y[:, :4], two.rows.y[:, :4])
    assert torch.equal(turned.rows.y[0], one.rows.y[0, [2, 0, 3, 1, 4]])
    assert torch.allclose(turned.bayes, one.bayes)  # the posterior knows no order
    assert not torch.allclose(mixed.bayes, one.bayes)


def test_updates_are_compared_in_function_and_in_states() -> None:
    result = fn.compare_updates("fn-linear", LINEAR, seeds=2, k=4, n_points=20, rates=(0.01,), epochs=4, draws=1)
    d = result.data
    assert d["sim_aou"].dims == d["specific"].dims == ("update", "comparison", "site", "layer")
    assert d["test_error"].shape == (2, 1)
    assert set(result.claims()["verdict"]) == {"not shown"}  # two tasks give no interval
    task = OneTask.drawn(LINEAR, 4, 20, 0)
    model = icl.load_model("fn-linear")
    icl_answers = task.states(model, "icl")[1]
    assert abs(float((icl_answers - fn.predict(model, task.rows)[:, -1]).abs().max())) < 1e-5
    update = icl.gradient_descent(model, task.samples(model), lr=0.01, parameters="all", batch="full", epochs=4)
    with update.applied(model):
        error = task.error(task.states(model, "zs")[1])
    other = OneTask.drawn(LINEAR, 4, 20, 1)
    update = icl.gradient_descent(model, other.samples(model), lr=0.01, parameters="all", batch="full", epochs=4)
    with update.applied(model):
        error = (error + other.error(other.states(model, "zs")[1])) / 2
    assert np.isclose(float(d["test_error"].sel(update="gd")[0]), error, rtol=1e-4)
    assert list(result.figures()) == ["plane", "layers"]
    with pytest.raises(fn.FunctionError, match="expected a family of real values"):
        OneTask.drawn(fn.Conjunctions(d=3), 2, 4, 0)


def test_pasted_layers_are_those_of_the_learner_and_stay_as_they_are() -> None:
    model = icl.load_model("fn-representation")
    whole = learner_net(model)
    prompts = fn.Representation(d=5, noise=0.5).prompts(4, 12, 0)
    mine, theirs = answers(whole, prompts.x, prompts.y).double(), fn.predict(model, prompts)
    assert torch.allclose(mine, theirs, atol=1e-5)
    pasted, random, lower, fresh = _nets(whole, 2, 0)
    for net, start in ((pasted, 1), (lower, 0)):
        for layer in (0, 1):
            own = net.model.layers[layer].state_dict()
            assert all(torch.equal(own[name], t) for name, t in whole.model.layers[start + layer].state_dict().items())
    assert not torch.equal(random.model.layers[0].q_proj.weight, whole.model.layers[1].q_proj.weight)
    trained = {name for name, p in pasted.named_parameters() if p.requires_grad}
    assert trained == {"model.embed_tokens.weight", "model.positions.weight"}
    assert len(fresh.model.layers) == 1
    assert all(p.requires_grad for p in fresh.parameters())


def test_pasting_measures_the_distance_to_bayes_and_judges_the_controls() -> None:
    result = fn.pasting(steps=2, seeds=(0, 1), n_prompts=8, n_examples=6)
    assert result.data["distance"].dims == ("variant", "prefix")
    lead = result.data["distance"].mean("prefix") - result.data["distance"].sel(variant="pasted").mean("prefix")
    assert np.allclose(result.data["lead"], lead)
    assert set(result.claims()["verdict"]) == {"not shown"}  # two read-ins carry no verdict
    assert len(result.claims()) == 3
    assert list(result.figures()) == ["pasting"]
    with pytest.raises(fn.FunctionError, match="expected 1 to 2 layers"):
        fn.pasting(layers=3, steps=1)
