"""The experiments: their grids, their claims, what they refuse, their files, figures and commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import iclmech as icl
from iclmech._base import Result
from iclmech.cli import main
from iclmech.dynamics import (
    Classes,
    Forget,
    PhaseDiagram,
    Relabelled,
    TaskDiversity,
    Tasks,
    Tokens,
    World,
    factor_loss,
    match,
)
from iclmech.dynamics._clamped import Clamped
from iclmech.dynamics._feed import Feed
from iclmech.dynamics._forgetting import Forgetting
from iclmech.dynamics._progress import ProgressMeasures, chosen_heads
from iclmech.dynamics._three_factor import factor_gradient
from iclmech.experiments import ExperimentError, command_of
from iclmech.interventions import zero

dyn = icl.dynamics


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    history = dyn.train(Relabelled(), seeds=2, steps=4, evaluate=2, rows=16)
    saved = history.save(tmp_path_factory.mktemp("h") / "result.nc")
    return {
        "train": history,
        "clamped": dyn.clamped(conditions={"none": (), "match": match()}, seeds=2, steps=6, evaluate=3, losses=3, rows=16),
        "phase-diagram": dyn.phase_diagram(Classes, {"n_classes": [32, 64], "bursty": [0.5, 1.0], "zipf": [0.0]}, seeds=3, steps=2, rows=16),
        "forgetting": dyn.forgetting(Tokens(), {"none": None, "soon": Forget(1, until=("in_weights", 0.0))}, seeds=2, steps=4, evaluate=2, rows=16, after=2),
        "number-of-tasks": dyn.tasks((2, 0), seeds=2, steps=2, rows=16),
        "progress-measures": dyn.progress_measures(str(saved), ("copy", "match", "previous_token", "composite"), rows=16),
        "three-factor": dyn.three_factor(dim=6, seeds=3, steps=5),
        "hidden-lead": dyn.hidden_lead(str(saved), rows=16),
        "similarity-over-training": dyn.similarity_over_training(
            dyn.train(Classes(novel=1.0), seeds=1, steps=2, evaluate=2, rows=16), k=4, n_queries=4, seeds=1, updates="gd", label_specific=False
        ),
        "supportive": dyn.supportive(k=2, n_prompts=4, n_candidates=8, length=32, chosen=3, steps=1, seeds=1),
    }  # fmt: skip


KINDS = (
    "train",
    "clamped",
    "phase-diagram",
    "forgetting",
    "number-of-tasks",
    "progress-measures",
    "three-factor",
    "hidden-lead",
    "similarity-over-training",
    "supportive",
)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_saved_opened_drawn_and_shown(results: dict[str, Result], kind: str, tmp_path: Path):
    result = results[kind]
    assert kind in icl.list_experiments()
    again = icl.load(result.save(tmp_path / "result.nc"))
    assert type(again) is type(result)
    assert again.answer() == result.answer() != []
    assert len(again.summary())
    (figure,) = again.figures().values()
    assert len(figure.data)
    assert figure.layout.yaxis.title.text
    page = icl.write_report(again, tmp_path / "page.html").read_text()
    assert all(claim["claim"][:20] in page for claim in again.claims().to_dict("records"))
    rules = again.claims()["rule"]
    assert all(len(rule) > 10 for rule in rules)


def test_a_grid_is_every_cell_with_every_seed_and_each_is_the_run_alone(results: dict[str, Result]):
    values = results["phase-diagram"].data["accuracy"]
    assert values.dims == ("n_classes", "bursty", "zipf", "seed", "test_set")
    alone = dyn.train(Classes(n_classes=64, bursty=0.5), seeds=[2], steps=2, rows=16, evaluate=0)
    found = alone.data["accuracy"].isel(run=0, step=-1)
    assert values.sel(n_classes=64, bursty=0.5, zipf=0.0, seed=2).values.tolist() == pytest.approx(
        found.values.tolist(), abs=1e-6
    )


def test_knobs_that_change_the_shape_get_stacks_of_their_own_and_keywords_reach_the_world():
    result = dyn.phase_diagram(Classes, {"pairs": [2, 4]}, seeds=1, steps=1, rows=16, n_classes=32, zipf=1)
    assert np.isfinite(result.data["accuracy"].values).all()
    assert result.provenance["request"]["world"] == "classes(n_classes=32, zipf=1.0)"
    with pytest.raises(ExperimentError, match="got colour"):
        dyn.phase_diagram(Classes, {"colour": [2, 4]}, seeds=1, steps=1)
    with pytest.raises(ExperimentError, match="expected knob=value"):
        dyn.phase_diagram("classes", {"bursty": [object()]}, steps=1)


def grid(values: np.ndarray) -> PhaseDiagram:
    """n_classes × seed × (in_context, in_weights)."""
    data = xr.Dataset(
        {"accuracy": (("n_classes", "seed", "test_set"), values)},
        {"n_classes": [128, 2048], "seed": range(values.shape[1]), "test_set": ["in_context", "in_weights"]},
    )
    return PhaseDiagram(data, provenance={"ability": "in_context"})


def test_claims_of_a_grid_follow_its_numbers():
    low, high, split = [[0.1, 0.95]] * 3, [[0.9, 0.1]] * 3, [[0.2, 0.7], [0.8, 0.2], [0.5, 0.5]]
    claims = grid(np.array([low, high])).claims()
    assert claims["verdict"].tolist() == ["holds", "does not hold", "does not hold"]
    assert claims["measured"][0] == pytest.approx(0.8)
    claims = grid(np.array([low, split])).claims()
    assert claims["verdict"][2] == "holds"
    assert "n_classes 2048" in claims["claim"][2]
    assert grid(np.array([low, [[0.6, 0.5]] * 3])).claims()["verdict"].tolist()[1] == "holds"
    few = grid(np.array([low, high])[:, :2]).claims()["verdict"].tolist()
    assert (few[0], few[2]) == ("not shown", "not applicable")


def test_claims_on_numbers_of_tasks_follow_them():
    def verdicts(few: list[float], many: list[float]) -> list[str]:
        values = np.array([[few] * 2, [many] * 2])
        data = xr.Dataset(
            {"accuracy": (("n_tasks", "seed", "test_set"), values)},
            {"n_tasks": [16, 256], "seed": [0, 1], "test_set": ["train", "unseen", "memory"]},
        )
        return TaskDiversity(data, provenance={"ability": "unseen"}).claims()["verdict"].tolist()

    assert verdicts([1, 0.25, 1.0], [1, 0.99, 0.0]) == ["holds", "holds"]
    assert verdicts([1, 0.9, 0.1], [1, 0.5, 0.0]) == ["does not hold", "does not hold"]


def clamped_of(times: dict[str, list[float]]) -> Clamped:
    names = [name for name, mine in times.items() for _ in mine]
    values = [t for mine in times.values() for t in mine]
    data = xr.Dataset({"steps_to_level": ("run", values, {"level": 0.2})}, {"condition": ("run", names)})
    return Clamped(data, provenance={"ability": "train"})


def test_the_order_of_clamps_is_by_medians_and_runs_that_never_arrive_count_last():
    nan = float("nan")
    found = clamped_of({"none": [1200, nan, nan], "match": [100, 120, 110], "copy": [1300, 400, nan]})
    assert found.times()["condition"].tolist() == ["match", "copy", "none"]
    assert "none not reached" in found.answer()[0]
    assert dict(zip(found.claims()["claim"], found.claims()["verdict"], strict=True)) == {
        "Learning is faster with match given": "holds", "Learning is faster with copy given": "not shown",
    }  # fmt: skip


def test_an_intervention_of_ones_own_is_a_condition_and_such_a_request_runs_in_python_only():
    ablated = zero("z", layers=1, heads=[0])
    result = dyn.clamped(conditions={"none": (), "no head": ablated}, seeds=1, steps=3, evaluate=3, losses=1, rows=32)
    assert command_of(result) is None
    assert result.data["accuracy"].sizes["run"] == 2
    losses = result.data["train_loss"].values
    assert abs(losses[0] - losses[1]).max() > 1e-4


def test_two_conditions_of_one_name_and_combinations_that_ignore_one_another_are_refused():
    with pytest.raises(ExperimentError, match="a name of its own"):
        dyn.CLAMPED.run(dyn.ClampedRequest(conditions=("a=match", "a=copy"), steps=1), progress=False)
    with pytest.raises(ExperimentError, match="condition 'both'"):
        dyn.clamped(conditions={"both": (match(), dyn.copy())}, steps=1)


def test_runs_whose_condition_never_came_true_are_reported():
    result = dyn.forgetting(Tokens(), {"late": Forget(2, until=("unseen", 1.1))}, seeds=2, steps=4, evaluate=2, rows=16)
    assert len(result.notes) == 2
    assert "never came true" in result.notes[0]
    assert result.at_stop()["stopped"].tolist() == [-1, -1]
    assert result.claims()["verdict"].tolist() == ["not shown"]
    assert "in 0 of 2 runs" in result.claims()["rule"][0]


def test_a_condition_must_be_true_at_two_evaluations_in_a_row():
    feed = Feed([Tokens()], [0], [{}], 1, 100, [Forget(2, until=("unseen", 0.9))])
    for step, value in ((0, 0.95), (10, 0.5), (20, 0.9), (30, 0.91), (40, 0.2)):
        feed.judge(step, {"unseen": [value]})
    assert feed.stopped == [30]


def test_temporary_forgetting_is_read_after_its_end():
    steps = np.arange(0, 700, 150)
    curves = np.stack([np.linspace(0.1, 0.9, 5), np.linspace(0.9, 0.1, 5), np.linspace(0.2, 0.6, 5)], -1)[None]
    data = xr.Dataset(
        {"accuracy": (("run", "step", "test_set"), curves), "stopped": ("run", [150])},
        {
            "run": [0],
            "seed": ("run", [3]),
            "condition": ("run", ["t"]),
            "step": steps,
            "test_set": ["unseen", "flipped", "in_weights"],
        },
    )
    origin = {"ability": "unseen", "after": 450, "conditions": {"t": "forget(until=('unseen', 0.3))"}}
    row = Forgetting(data, provenance=origin).at_stop().iloc[0]
    assert (row["unseen at stop"], row["unseen after"], row["in_weights after"]) == pytest.approx((0.3, 0.9, 0.6))
    assert Forgetting(data, provenance=origin).claims()["verdict"].tolist() == ["holds"]
    late = Forgetting(data.assign(stopped=("run", [300])), provenance=origin)
    assert late.claims()["verdict"].tolist() == ["not shown"]  # training ended before it could be read


def test_forgetting_redraws_the_table_at_its_first_scale_and_empties_its_moments():
    result = dyn.forgetting(Tokens(), {"none": None, "active": Forget(3)}, seeds=1, steps=3, evaluate=3, rows=16)
    assert np.array_equal(
        result.data["accuracy"].isel(run=0), result.data["accuracy"].isel(run=1)
    )  # measured before it
    with pytest.raises(ExperimentError, match="no table to forget"):
        dyn.forgetting(Classes(), {"active": Forget(3)}, steps=1)
    with pytest.raises(ExperimentError, match="got test_set='held'"):
        dyn.forgetting(Tokens(), {"t": Forget(3, until=("held", 0.9))}, steps=1)
    from iclmech.dynamics._stack_training import RunPlan, Schedule, train_stack

    plans = [RunPlan(Tokens(), 0, (), f) for f in (None, Forget(3))]
    whole = train_stack(plans, Tokens().net, 1e-4, Schedule(4, 0, rows=16))
    kept, fresh = whole.module.table.detach()
    assert (fresh - kept).abs().mean() > 0.5
    assert fresh.std().item() == pytest.approx(1.0, abs=0.03)


# -- three factors ------------------------------------------------------------------------------------------------------


def dense(factors: dict[str, np.ndarray], target: dict[str, np.ndarray]) -> np.ndarray:
    tensors = [np.einsum("ri,rj,rk->rijk", *(x[n] for n in "abc")) for x in (target, factors)]
    return 0.5 * ((tensors[0] - tensors[1]) ** 2).mean((1, 2, 3))


def test_the_closed_form_is_the_dense_tensor_and_its_gradient_the_finite_difference():
    make = np.random.default_rng(0)
    factors, target = ({n: make.standard_normal((4, 7)) for n in "abc"} for _ in range(2))
    assert abs(factor_loss(factors, target) - dense(factors, target)).max() <= 1e-12
    for name in "abc":
        gradient = factor_gradient(factors, target, name)
        for at in range(7):
            step = np.zeros((4, 7))
            step[:, at] = 1e-5
            up, down = (dense({**factors, name: factors[name] + s * step}, target) for s in (1, -1))
            assert abs((up - down) / 2e-5 - gradient[:, at]).max() < 1e-8


def test_given_factors_make_the_rest_be_learned_faster():
    result = dyn.three_factor(dim=20, clamp=("b", "c"), seeds=20)
    times = result.data["steps_to_tenth"].fillna(np.inf)
    both = times.sel(condition="b and c")
    assert int((both <= times.min("condition")).sum()) >= 19
    assert result.claims()["verdict"].tolist() == ["holds"] * 3
    assert (
        dyn.three_factor(dim=5, clamp=("a", "b", "c"), seeds=2, steps=1).data["loss"].sel(condition="a and b and c")
        == 0
    ).all()
    with pytest.raises(ExperimentError, match="expected some of a, b, c"):
        dyn.three_factor(clamp=("d",))


# -- progress measures ----------------------------------------------------------------------------------------------------


def test_the_heads_are_those_of_the_last_snapshot_and_the_unclamped_curve_is_always_there(results: dict[str, Result]):
    progress, history = results["progress-measures"], results["train"]
    assert progress.data["measure"].values.tolist() == ["none", "copy", "match", "previous_token", "composite"]
    assert np.allclose(progress.data["loss"].sel(measure="none").isel(step=0).values, history.data["loss"].sel(test_set="train").isel(step=0).values, atol=0.6)  # fmt: skip
    attention = np.zeros((1, 2, 2, 3, 4))
    attention[0, 0, 0, 0, 0], attention[0, -1, 0, 2, 0], attention[0, -1, 1, 1, 2] = 1.0, 0.8, 0.9
    names = ["label_to_item", "target_to_labels", "target_to_right", "induction"]
    data = xr.Dataset({"attention": (("run", "step", "layer", "head", "measure"), attention)}, {"measure": names})
    ((previous, matching),) = chosen_heads(data)
    assert (previous.spelled, matching.spelled) == ("previous_token:0.2", "match:1.1")


def test_a_measure_that_does_not_fall_shows_no_progress():
    loss = np.array([[[2.0, 1.0, 0.1]], [[1.0, 0.3, 0.05]], [[1.0, 1.2, 1.5]]])
    data = xr.Dataset(
        {"loss": (("measure", "run", "step"), loss)}, {"measure": ["none", "copy", "match"], "step": [0, 1, 2]}
    )
    claims = ProgressMeasures(data).claims()
    assert claims["verdict"].tolist() == ["holds", "does not hold"]
    assert "no progress" in claims["rule"][1]


def test_what_progress_cannot_be_measured_on_is_refused(results: dict[str, Result]):
    with pytest.raises(ExperimentError, match="got the measure 'values'"):
        dyn.progress_measures(results["train"], ("values",))  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match="without snapshots"):
        dyn.progress_measures(results["clamped"])  # type: ignore[arg-type]


# -- the command line -----------------------------------------------------------------------------------------------------


def test_the_command_takes_its_world_without_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flags = ["--seeds", "2", "--steps", "2", "--rows", "16", "--quiet"]
    main(["train", "classes(novel=1.0)", *flags, "--out", str(tmp_path / "a")])
    assert "In-context learning forms" in capsys.readouterr().out
    history = icl.load(tmp_path / "a")
    assert history.snapshots.steps == [0, 2]  # type: ignore[attr-defined]  # a History
    main(
        [
            "phase-diagram",
            "tasks",
            "--axes",
            "n_tasks=2/4,noise=0.1/0.2",
            "--seeds",
            "1",
            *flags[2:],
            "--out",
            str(tmp_path / "b"),
        ]
    )
    assert icl.load(tmp_path / "b").data["accuracy"].dims[:2] == ("n_tasks", "noise")
    main(
        ["progress-measures", "--history", str(tmp_path / "a"), "--rows", "16", "--quiet", "--out", str(tmp_path / "c")]
    )
    with pytest.raises(SystemExit):
        main(["train", "planets", "--out", str(tmp_path / "d")])
    assert "got the world 'planets'" in capsys.readouterr().err


class Own(Classes):
    """A world of one's own."""


def test_a_world_of_ones_own_is_trained_and_named_by_its_hash():
    world: World = Own(novel=1.0)
    assert not world.known
    history = dyn.train(world, seeds=1, steps=1, rows=16)
    assert history.provenance["request"]["world"].startswith("custom:")
    assert history.world is world
    assert command_of(history) is None


def test_plain_values_only_reach_the_request(results: dict[str, Result]):
    for kind, result in results.items():
        request: dict[str, Any] = result.provenance["request"]
        assert all(isinstance(v, str | int | float | list | None) for v in request.values()), kind
    assert Tasks(n_tasks=16).spelled == "tasks(n_tasks=16)"
