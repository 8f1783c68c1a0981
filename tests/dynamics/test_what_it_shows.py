"""What small nets must show while they learn, by seeds that no recipe was chosen on. Minutes of CPU: `make dynamics`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import iclmech as icl
from iclmech.dynamics import Classes, Forget, Relabelled, Tokens

pytestmark = pytest.mark.long
dyn = icl.dynamics
SEEDS = (20, 21, 22)


def test_in_context_learning_forms_abruptly_from_a_plateau_and_attention_to_labels_comes_first():
    clock, world = time.process_time(), Classes(novel=1.0)
    history = dyn.train(world, seeds=range(20, 26), steps=1200)
    assert time.process_time() - clock <= 20
    table = history.transitions()
    assert (abs(table["plateau"] - 0.25) <= 0.07).all(), table["plateau"].tolist()
    assert (table["final"] >= 0.9).all(), table["final"].tolist()
    assert (table["accuracy_half"] - table["target_to_labels_half"] >= 150).all()
    assert abs(table["label_to_item_half"] - table["accuracy_half"]).max() <= 120
    assert history.claims()["verdict"].tolist() == ["holds"] * 4
    without = dyn.train(
        world, seeds=range(20, 26), steps=1200, net=replace(world.net, encoder_bias=False)
    ).transitions()
    slow = without["rise_steps"].fillna(1200.0)
    assert slow.min() > table["rise_steps"].max()
    assert slow.median() > 2 * table["rise_steps"].median()


def test_the_phase_diagram_has_its_corners():
    clock = time.process_time()
    axes = {"n_classes": [128, 512, 2048, 8192], "bursty": [0.5, 0.9, 1.0], "zipf": [0.0, 1.0]}
    result = dyn.phase_diagram(Classes, axes, seeds=SEEDS, steps=1500)
    assert time.process_time() - clock <= 220
    context, weights = (result.data["accuracy"].sel(test_set=s) for s in ("in_context", "in_weights"))
    few = {"n_classes": 128}
    assert (weights.sel(few) >= 0.95).all()
    assert (context.sel(few) <= 0.2).all()
    many = {"n_classes": 8192, "zipf": 0.0, "bursty": [0.9, 1.0]}
    assert (context.sel(many) >= 0.9).all()
    assert (weights.sel(many) <= 0.15).all()
    both = {"n_classes": 2048, "bursty": 0.9, "zipf": 1.0}
    assert int(((context.sel(both) >= 0.4) & (weights.sel(both) >= 0.4)).sum()) >= 2
    alone = dyn.phase_diagram(Classes, {k: [v] for k, v in both.items()}, seeds=[21], steps=1500)
    assert np.array_equal(alone.data["accuracy"].values.ravel(), result.data["accuracy"].sel(both).sel(seed=21).values)


def test_learning_waits_for_the_parts_of_the_circuit_in_their_order():
    result = dyn.clamped(Relabelled(), seeds=range(20, 25), steps=2400)
    median = result.times().set_index("condition")["median"].to_dict()
    perfect = [median["perfect layer"], median["perfect layer and copy"]]
    assert median["match"] < min(perfect), median
    assert max(perfect) < median["copy"] < median["previous token"] < median["none"], median
    assert median["none"] >= 5 * median["match"]


def test_progress_of_copying_leads_and_a_given_previous_token_alone_can_mislead(tmp_path: Path):
    world = Relabelled()
    net = replace(world.net, heads=1, last_heads=0)
    history = dyn.train(world, seeds=SEEDS, steps=1600, net=net, evaluate=100)
    progress = dyn.progress_measures(history, ("copy", "match", "composite"))
    falls = progress.summary().pivot(index="run", columns="measure", values="falls")
    assert (falls["copy"] < falls["none"]).all(), falls
    assert progress.data["loss"].sel(measure="copy").isel(step=-1).max() < 0.2


def test_forgetting_makes_nets_learn_in_context_and_ended_in_time_leaves_both():
    world = Tokens(bursty=1.0)
    found = dyn.forgetting(world, {"none": None, "active": Forget(25)}, seeds=SEEDS, steps=3000, evaluate=300)
    last = found.data["accuracy"].isel(step=slice(-3, None)).mean("step").sel(test_set="unseen")
    which = found.data["condition"].values
    assert (last.values[which == "none"] <= 0.2).all()
    assert (last.values[which == "active"] >= 0.85).all(), last.values
    both = dyn.forgetting(
        Tokens(bursty=0.9), {"temporary": Forget(25, until=("unseen", 0.95))}, seeds=SEEDS, steps=5000
    )
    stops = both.at_stop()
    fired = stops[(stops["stopped"] >= 0) & stops["unseen after"].notna()]
    assert len(both.notes) == int((stops["stopped"] < 0).sum())
    assert len(fired) >= 2, stops
    assert (fired["unseen after"] >= 0.8).all(), stops.T
    assert (fired["in_weights after"] >= 0.4).all(), stops.T


def test_few_tasks_are_memorised_and_many_are_learned_to_be_learned():
    result = dyn.tasks((16, 256), seeds=SEEDS)
    assert result.claims()["verdict"].tolist() == ["holds", "holds"], result.summary()


def test_a_trained_snapshot_learns_in_context_as_a_model_of_the_library():
    history = dyn.train(Classes(novel=1.0), seeds=[20], steps=1200, evaluate=600)
    scores = []
    for step in (0, 1200):
        model = history.snapshot(0, step)
        prompts = [
            icl.build_prompts(model, history.task(0, draw), k=4, n_queries=32, selection="balanced", n_contexts=8) for draw in range(4)
        ]  # fmt: skip
        scores.append([float(np.mean([icl.accuracy(model, p, s) for p in prompts])) for s in ("icl", "zs")])
    assert scores[1][0] >= 0.75 > 0.5 >= max(scores[0][0], scores[1][1]), scores
