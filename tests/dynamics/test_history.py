"""Histories: what is in them, that they resume, save and load, and that a snapshot is a model like any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from transformers import AutoModelForCausalLM

import iclmech as icl
from iclmech._base import FileError, ModelError, rng
from iclmech.dynamics import Classes, History, Relabelled, Tokens
from iclmech.dynamics._clamped_pass import logits_under
from iclmech.dynamics._history import DRAWS, EXEMPLARS
from iclmech.dynamics._labelled_sequences import Sequences, stacked
from iclmech.dynamics._snapshots import export_run, net_from, words_of
from iclmech.dynamics._transitions import crossing, half_rise, transitions_of
from iclmech.experiments import ExperimentError, command_of

QUICK: dict[str, Any] = {"steps": 12, "evaluate": 4, "rows": 32, "losses": 2}
WORLD = Classes(novel=1.0)


@pytest.fixture(scope="module")
def history() -> History:
    return icl.dynamics.train(WORLD, seeds=(5, 2), **QUICK)


def equal(one: xr.Dataset, other: xr.Dataset) -> bool:
    return all(np.array_equal(one[name].values, other[name].values, equal_nan=True) for name in one.data_vars)


def test_a_history_holds_every_run_step_and_test_set(history: History):
    data = history.data
    assert data["accuracy"].dims == ("run", "step", "test_set")
    assert data["attention"].dims == ("run", "step", "layer", "head", "measure")
    assert data["seed"].values.tolist() == [5, 2]
    assert data["step"].values.tolist() == history.snapshots.steps == [0, 4, 8, 12]
    assert data["loss_step"].values.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert (data["train_loss"].values > 0).all()
    assert history.provenance["request"]["world"] == "classes(novel=1.0)"


def test_a_run_is_bitwise_the_run_alone_and_trains_as_long_as_it_is_told(history: History):
    alone = icl.dynamics.train(WORLD, seeds=[2], **QUICK)
    assert equal(history.data.isel(run=[1]), alone.data)
    longer = icl.dynamics.train(WORLD, seeds=[2], **{**QUICK, "steps": 16})
    assert equal(longer.data.isel(step=slice(4), loss_step=slice(7)), alone.data)


def test_it_goes_on_where_it_was_left_and_refuses_other_runs(history: History, tmp_path: Path):
    icl.dynamics.train(WORLD, seeds=(5, 2), **{**QUICK, "steps": 8}, out=tmp_path)
    whole = icl.dynamics.train(WORLD, seeds=(5, 2), **QUICK, out=tmp_path)
    assert equal(history.data, whole.data)
    assert whole.snapshots.steps == [0, 4, 8, 12]
    for step in (4, 12):
        mine, theirs = (h.snapshots.weights(step) for h in (history, whole))
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    with pytest.raises(ModelError, match="another recipe or seed"):
        icl.dynamics.train(WORLD, seeds=(5, 3), **QUICK, out=tmp_path)


def test_forgetting_goes_on_where_it_was_left(tmp_path: Path):
    given: dict[str, Any] = {
        "conditions": {"a": icl.dynamics.Forget(3), "b": icl.dynamics.Forget(2, until=("unseen", 0.0))}, "seeds": 1, "evaluate": 4,
        "rows": 16, "after": 4,
    }  # fmt: skip
    whole = icl.dynamics.forgetting(Tokens(), steps=20, **given)
    icl.dynamics.forgetting(Tokens(), steps=12, out=tmp_path, **given)
    again = icl.dynamics.forgetting(Tokens(), steps=20, out=tmp_path, **given)
    assert equal(whole.data, again.data)
    assert whole.data["stopped"].values.tolist() == [-1, 4]


def test_it_is_saved_with_its_snapshots_and_opened_by_its_kind(history: History, tmp_path: Path):
    history.save(tmp_path / "result.nc")
    for place in (tmp_path / "result.nc", tmp_path):
        again = icl.load(place)
        assert isinstance(again, History)
        assert equal(history.data, again.data)
        assert again.world == WORLD
        assert again.snapshots.steps == [0, 4, 8, 12]
    assert (
        command_of(again)
        == "iclmech train 'classes(novel=1.0)' --seeds 5,2 --steps 12 --evaluate 4 --rows 32 --losses 2 --out runs/again"
    )
    (tmp_path / "sub").mkdir()
    again.save(tmp_path / "sub" / "other.nc")
    assert (tmp_path / "sub" / "other.snapshots" / "step_000012.safetensors").is_file()


def sequences_in_words(items: torch.Tensor, labels: list[int], models: int) -> tuple[Sequences, list[list[str]]]:
    """Sequences of the exported items, as the stack reads them, and the same in words."""
    make, ways = torch.Generator().manual_seed(0), len(labels)
    classes = torch.stack([torch.randperm(ways, generator=make) for _ in range(16)])
    classes = torch.cat([classes, torch.randint(ways, (16, 1), generator=make)], 1)
    exemplar = torch.randint(EXEMPLARS, classes.shape, generator=make)
    names = torch.tensor(labels)[classes]
    batch = stacked([Sequences(items[classes, exemplar], names[:, :-1], names[:, -1], classes)] * models)
    words = []
    for row in range(16):
        tokens = [f"x{c * EXEMPLARS + e}" for c, e in zip(classes[row].tolist(), exemplar[row].tolist(), strict=True)]
        pairs = zip(tokens, [f"y{n}" for n in names[row].tolist()], strict=True)
        words.append(["<bos>", *(word for pair in pairs for word in pair)][:-1])
    return batch, words


@pytest.mark.parametrize(
    "world",
    [Classes(novel=1.0), Tokens(), Relabelled()],
    ids=lambda w: w.name,
)
def test_a_snapshot_has_the_logits_of_its_net_in_transformers_and_through_the_bridge(world: Any, tmp_path: Path):
    net = replace(world.net, bos=True)
    history = icl.dynamics.train(world, seeds=2, net=net, **QUICK)
    seed = int(history.data["seed"].values[1])
    module = net_from(history.snapshots.weights(8), world, net, 2)
    items, labels = world.words(seed, EXEMPLARS, 0)
    batch, words = sequences_in_words(items, labels, 2)
    with torch.no_grad():
        expected = logits_under(module, batch)[1]
    path = history.export(1, 8, tmp_path / "net")
    vocabulary = words_of(world.n_labels, DRAWS * len(labels), EXEMPLARS)
    ids = torch.tensor([[vocabulary.index(word) for word in row] for row in words])
    with torch.no_grad():
        plain = AutoModelForCausalLM.from_pretrained(path)(ids).logits[:, -1, 1 : 1 + world.n_labels]
        model = history.snapshot(1, 8)
        bridged = model.forward(ids)[:, -1, 1 : 1 + world.n_labels]
    assert (plain - expected).abs().max() <= 1e-5
    assert (bridged - expected).abs().max() <= 1e-5


def test_every_analysis_runs_on_a_snapshot(history: History):
    model, task = history.snapshot(0), history.task(0, draw=1)
    prompts = icl.build_prompts(model, task, k=4, n_queries=8, selection="balanced", n_contexts=2)
    assert len(prompts.contexts[0].tokens) == 9
    assert icl.capture(model, prompts, "icl", ("attn_scores",))["attn_scores"].shape[1:3] == (2, 1)
    before = icl.capture(model, prompts, "zs", ("attn_out",))["attn_out"]
    for update in (
        icl.gradient_descent(model, prompts.contexts[0], lr=0.1),
        icl.layer_causal_gd(model, prompts.contexts[0], lr=0.1),
    ):
        with update.applied(model):
            assert not torch.equal(icl.capture(model, prompts, "zs", ("attn_out",))["attn_out"], before)
    small: dict[str, Any] = {"k": 4, "n_queries": 4, "seeds": 1, "progress": False}
    circuit = icl.inference_circuit(
        model, task, edges=("y->s_q",), n_contexts=1, n_held_out=4, untrained=False, **small
    )
    assert circuit.data.sizes
    result = icl.compare(model, task, updates=("gd",), lr=0.1, controls=("random_direction",), n_examples=0, **small)
    assert np.isfinite(result.data["sim_aou"].sel(comparison="gd", variant="trained").values).any()


def test_what_is_not_there_is_told(history: History, tmp_path: Path):
    with pytest.raises(FileError, match=r"the snapshots in memory are of steps \[0, 4, 8, 12\]"):
        history.snapshot(0, 5)
    with pytest.raises(ExperimentError, match="runs 0 to 1"):
        history.snapshot(2, 4)
    with pytest.raises(ExperimentError, match="numbered from 0"):
        history.task(0, draw=4)
    without = icl.dynamics.train(Relabelled(), seeds=1, steps=1, rows=16)
    with pytest.raises(ExperimentError, match="trained without BOS"):
        without.task()
    with pytest.raises(ExperimentError, match="as wide as the embeddings"):
        icl.dynamics.train(Tokens(), seeds=1, steps=1, net="net(d_model=64)")
    with pytest.raises(ExperimentError, match="130 positions; these nets read 128"):
        icl.dynamics.train(Classes(pairs=64), seeds=1, steps=1)


def test_a_world_of_tokens_keeps_its_table_out_of_the_words(tmp_path: Path):
    module = icl.dynamics.train(Tokens(), seeds=1, steps=1, rows=16)
    items, _ = Tokens().words(0, 2)
    weights = net_from(module.snapshots.weights(1), Tokens(), Tokens().net, 1)
    export_run(weights, 0, tmp_path, items)
    table = AutoModelForCausalLM.from_pretrained(tmp_path).get_input_embeddings().weight
    assert torch.allclose(table[17:19], (items[0] + weights.bias[0]).detach(), atol=1e-6)


# -- transitions, on a curve made by hand ----------------------------------------------------------------------------


def made(rise: float, width: float = 60.0) -> xr.Dataset:
    """One run: mass at 250, accuracy from .0625 to .25 at 100, then to 1 at `rise`; attention to labels at 80."""
    steps = np.arange(0, 1201, 25)

    def up(at: float, low: float, high: float, wide: float = 10.0) -> np.ndarray:
        return low + (high - low) / (1 + np.exp(-np.clip((steps - at) / (wide / 4.4), -50, 50)))

    accuracy = up(100, 0.0625, 0.25) + up(rise, 0, 0.75, width)
    attention = np.zeros((1, len(steps), 2, 1, 4))
    attention[0, :, 1, 0, 1] = up(80, 0.4, 0.8)
    attention[0, :, 0, 0, 0], attention[0, :, 1, 0, 2] = up(rise, 0.2, 0.9), up(rise, 0.1, 0.9)
    return xr.Dataset(
        {
            "accuracy": (("run", "step", "test_set"), accuracy[None, :, None]),
            "attention": (("run", "step", "layer", "head", "measure"), attention),
            "label_mass": (("run", "step"), up(250, 0.25, 0.95, 60)[None]), "chance": ("guess", [0.0625, 0.25]),
        },
        {
            "run": [0], "seed": ("run", [7]), "step": steps, "test_set": ["in_context"], "guess": ["a label", "a label of the context"],
            "measure": ["label_to_item", "target_to_labels", "target_to_right", "induction"],
        },
    )  # fmt: skip


def test_a_plateau_and_a_rise_that_are_known_are_found():
    row = transitions_of(made(600.0), "in_context").iloc[0]
    assert row["plateau"] == pytest.approx(0.25, abs=0.01)
    assert row["target_to_labels_half"] == pytest.approx(80, abs=15)
    assert row["label_mass_half"] == pytest.approx(250, abs=10)
    assert row["accuracy_half"] == pytest.approx(600, abs=12)
    assert row["plateau_steps"] == pytest.approx(600 - 250 - 26, abs=15)
    assert row["rise_steps"] == pytest.approx(32, abs=15)
    assert row["final"] == pytest.approx(1.0, abs=0.01)
    never = transitions_of(made(9000.0), "in_context").iloc[0]
    assert np.isnan(never["leaves"])
    assert never["plateau"] == pytest.approx(0.25, abs=0.01)


def test_claims_follow_the_curves():
    def verdicts(rises: tuple[float, ...], width: float = 60.0) -> list[str]:
        data = xr.concat(
            [made(rise, width).assign_coords(run=[n]) for n, rise in enumerate(rises)], "run", data_vars="minimal"
        )
        data["chance"] = data["chance"].isel(run=0) if "run" in data["chance"].dims else data["chance"]
        return History(data, provenance={"ability": "in_context"}).claims()["verdict"].tolist()

    assert verdicts((500.0, 700.0)) == ["holds"] * 4
    assert verdicts((500.0, 9000.0))[0] == "not shown"
    assert verdicts((9000.0, 9500.0))[0] == "does not hold"
    assert verdicts((600.0, 650.0), width=1500.0)[2] != "holds"


def test_crossings_lie_on_straight_lines_between_evaluations():
    assert crossing([0, 10], [0.0, 1.0], 0.25) == 2.5
    assert np.isnan(crossing([0, 10], [0.0, 0.1], 0.25))
    assert crossing([5, 10], [0.5, 0.1], 0.25) == 5.0
    assert half_rise([0, 10, 20], [0.0, 1.0, 0.5]) == 5.0


def test_draws_of_training_do_not_depend_on_how_long_it_lasts():
    first = WORLD.draw({}, 4, rng(0, "dynamics/train"))
    assert torch.equal(first.items, WORLD.draw({}, 4, rng(0, "dynamics/train")).items)
