"""The protocol on every family without special cases, the rules of the verdict on planted numbers, files, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iclmech._base import FileError
from iclmech.experiments import Circuit, CircuitError, inference_circuit
from iclmech.experiments._inference_circuit._cuts import CutRuns, joined_clusters
from iclmech.experiments._inference_circuit._dataset import build_dataset
from iclmech.experiments._inference_circuit._plan import ARMS, EDGES, CircuitPlan, windows_of
from iclmech.experiments._inference_circuit._request import BYPASSES, CircuitRequest
from iclmech.models import load_model
from iclmech.tasks import Task, build_prompts, load_task

TEXTS = ["fine", "dull film", "it is", "great", "a", "never starts", "moves you", "the film"]
SMALL: dict[str, Any] = {"k": 4, "n_queries": 8, "n_contexts": 2, "seeds": 1, "n_held_out": 4, "n_boot": 50}
STORIES = Path(__file__).parents[3] / "shared" / "models" / "stories260K"


def toy(**options: Any) -> Task:
    records = [{"text": f"{text} {n}", "label": n % 2} for n in range(3) for text in TEXTS]
    return Task.from_records(records, records[::-1], template="{text}:", label_words=["a", "is"], name="toy", **options)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "gpt_neo"])
def test_random_models_have_no_circuit(family: str, tiny_model: Any) -> None:
    model = tiny_model(family, n_layers=2)
    before = model.hash()
    result = inference_circuit(model, toy(), windows=[(0, 1)], **SMALL)
    assert set(result.verdict()["verdict"]) == {"no effect"}
    assert "no in-context learning" in result.verdict()["reason"][0]
    assert model.hash() == before
    d = result.data
    assert torch.allclose(torch.from_numpy(d["mass"].sum("role").values).float(), torch.ones(2, 2, 4), atol=1e-5)
    assert (
        d["edges_cut"].sel(edge=["s->y", "y->s_q"], arm="cut")
        == d["edges_cut"].sel(edge=["s->y", "y->s_q"], arm="random")
    ).all()
    assert (d["mass_cut"].sel(arm="mass") <= d["mass_cut"].sel(arm="cut") + 0.05).all()
    for name in ("centroid", "copy", "assigned_qk", "assigned_attention_share"):
        assert np.isfinite(d[name].values).all()
        assert ((d[name] >= 0) & (d[name] <= 1)).all()
    assert result.provenance["seeds"] == [0]
    assert len(result.heads()) == 8
    assert list(result.layers()["layer"]) == [0, 1]


def test_the_same_twice_and_through_a_file(tiny_model: Any, tmp_path: Path) -> None:
    options = {**SMALL, "edges": ["y->s_q", "sep->s_q"], "untrained": False, "windows": [(0, 1), (1, 1)]}

    def features(texts: Any) -> torch.Tensor:
        return torch.tensor([[len(t), t.count("f"), t.count("e") + 1.0] for t in texts])

    one, two = (
        inference_circuit(tiny_model("gpt2", n_layers=2), toy(), reference=features, **options) for _ in range(2)
    )
    assert one.data.drop_attrs().identical(two.data.drop_attrs())
    assert "reference_alignment" in one.data
    assert set(one.verdict()["step"]) == {"3 retrieval and copy", "further edges"}
    path = one.save(tmp_path / "circuit.nc")
    again = Circuit.load(path)
    assert again.data.identical(one.data)
    assert again.verdict().equals(one.verdict())
    assert again.summary().equals(one.summary())
    assert "Circuit(" in repr(again)
    assert "<table" in again._repr_html_()
    with pytest.raises(FileError, match="not a file"):
        Circuit.load(tmp_path / "missing.nc")
    newer = one.data.assign_attrs(kind="iclmech circuit", schema=99)
    newer.to_netcdf(tmp_path / "newer.nc", engine="h5netcdf")
    with pytest.raises(FileError, match="schema 99"):
        Circuit.load(tmp_path / "newer.nc")
    one.data.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(FileError, match="not a saved Circuit"):
        Circuit.load(tmp_path / "other.nc")


@pytest.mark.skipif(not STORIES.is_dir(), reason="the model stories260K is not at hand")
def test_a_story_model_has_no_effect() -> None:
    """260 thousand parameters trained on children's stories: no in-context learning is expected, and none is invented."""
    train = [
        {"text": t, "label": n % 2}
        for n, t in enumerate(["a happy dog", "a sad cat", "the fun ball", "a bad day"] * 10)
    ]
    task = Task.from_records(train, train, template="{text} =", label_words=["good", "bad"], name="stories")
    options = {**SMALL, "n_queries": 32, "windows": [(0, 4)], "untrained": False}
    result = inference_circuit(load_model(str(STORIES)), task, **options)
    assert set(result.verdict()["verdict"]) == {"no effect"}


def planted(zs: float, icl: float, cuts: dict[str, tuple[float, float, float]]) -> Circuit:
    """A result with these accuracies: 6 clusters of 40 items, right ones spread evenly."""
    request = CircuitRequest(k=4, n_queries=80, n_contexts=2, n_held_out=4, untrained=False, n_boot=200)
    plan = CircuitPlan(request, toy(), (0, 1, 2), EDGES, ((0, 0), (1, 1)))

    def hits(share: float, shift: int = 0) -> np.ndarray:
        rank = (np.arange(40) * 17 + shift) % 40
        return np.tile((rank < round(share * 40)).astype(float), (6, 1))

    correct = np.stack([np.stack([hits(share) for share in cuts.get(edge, (icl,) * 3)]) for edge in EDGES])
    scores = {
        name: (hits(share), 1 - hits(share)) for name, share in (("zs", zs), ("icl", icl), ("icl:shuffled_labels", zs))
    }
    per_layer = {"centroid": np.full((6, 40, 2), 0.75)}
    states = {
        **per_layer,
        **{f"assigned_{n}_share": np.full((6, 40, 2, 1), 0.9) for n in ("attention", "qk")},
        "assigned_residual_share": np.full((6, 40, 2), 0.9),
        "mass": np.full((6, 40, 2, 1, 6), 1 / 6),
        "gold_share": np.full((6, 40), 0.5),
    }
    mass = np.tile([0.5, 0.1, 0.5], (4, 1))
    mass[2] = [0.9, 0.1, 0.1]
    runs = CutRuns(correct, 1 - correct, np.full((4, len(ARMS)), 3.0), mass)
    chosen = dict.fromkeys(EDGES, (1, 1))
    data = build_dataset(
        plan, scores, runs, {"trained": states}, per_layer, (chosen, np.zeros((4, 2)), np.zeros((4, 2))), 0.5
    )
    origin = {"model": {"name": "m"}, "task": {"name": "t"}, "k_kept": 4, "notes": ["a note"]}
    return Circuit(data.assign_attrs(n_tokens=20.0), provenance=origin)


def verdicts(result: Circuit) -> dict[str, str]:
    table = result.verdict()
    return {row["edges"] or row["step"]: row["verdict"] for row in table.to_dict("records")}


def test_verdicts_on_planted_numbers() -> None:
    result = planted(
        0.5,
        1.0,
        {"x->s": (0.6, 1.0, 0.95), "s->y": (0.7, 0.95, 0.6), "y->s_q": (0.5, 1.0, 1.0), "x_q->s_q": (1.0, 1.0, 1.0)},
    )
    found = verdicts(result)
    assert found["x->s"] == "holds"
    assert found["s->y"] == "not specific"  # the control of the same mass costs more
    assert found["y->s_q"] == "holds"
    assert found["x_q->s_q"] == "no effect"
    assert found["1 summarize"] == "holds in part"
    assert found["2 semantics merge"] == "not specific"
    assert found["3 retrieval and copy"] == "holds"
    reasons = dict(zip(result.verdict()["edges"], result.verdict()["reason"], strict=True))
    assert "0.500 [" in reasons["y->s_q"]
    assert "way around" not in reasons["y->s_q"] + reasons["x_q->s_q"]
    assert "not that much other attention: 0.10 against 0.90" in reasons["y->s_q"]
    d = result.data
    assert float(d["lost"].sel(edge="x->s", arm="cut")) == pytest.approx(0.4)
    assert float(d["excess"].sel(edge="s->y", control="mass")) == pytest.approx(-0.1)
    assert float(d["gain"].sel(baseline="zs")) == pytest.approx(0.5)
    assert d["cut_accuracy_by_context"].sel(edge="x->s", arm="cut").values == pytest.approx(np.full((3, 2), 0.6))
    table = result.summary().set_index(["name", "arm"])
    assert table.loc[("y->s_q", "random"), "excess"] == pytest.approx(0.5)
    assert table.loc[("zs", ""), "lost"] == pytest.approx(0.5)
    assert float(d["assigned_qk_excess"].mean()) == pytest.approx(0.4)
    assert "a note" in result._repr_html_()


def test_nothing_is_found_where_nothing_is_learned() -> None:
    """Cuts that cost accuracy prove nothing where demonstrations do not help, or only up to a constant answer."""
    for zs, icl in ((0.9, 0.9), (0.3, 0.5)):
        assert set(verdicts(planted(zs, icl, dict.fromkeys(EDGES, (0.1, 0.5, 0.5)))).values()) == {"no effect"}


def test_a_way_around_is_named() -> None:
    """A step without effect, in a model that does learn: the wider cut is pointed to until it has been made."""
    reason = dict(planted(0.5, 1.0, {}).verdict()[["edges", "reason"]].to_numpy())["y->s_q"]
    assert "way around: y->x_q+s_q was not cut" in reason


def test_a_step_that_a_wider_cut_alone_stops_holds_by_another_way() -> None:
    wide = ["y->x_q+s_q", "s->y", "y->s_q", "x_q->s_q"]
    data = planted(0.5, 1.0, {"x->s": (0.6, 1.0, 0.95)}).data.assign_coords(edge=wide)
    result = Circuit(data, provenance={"model": {"name": "m"}, "task": {"name": "t"}, "k_kept": 4})
    found = verdicts(result)
    assert (found["y->s_q"], found["y->x_q+s_q"]) == ("no effect", "holds")
    assert found["3 retrieval and copy"] == "holds, but not through this edge alone"
    assert found["2 semantics merge"] == "no effect"
    assert "(cutting y->x_q+s_q costs accuracy)" in result.answer()[1]


def test_joined_clusters() -> None:
    joined = joined_clusters([np.ones((2, 3)), np.zeros((1, 2))])
    assert joined.shape == (3, 3)
    assert np.isnan(joined[2, 2])


def test_windows(tiny_model: Any) -> None:
    model = tiny_model("gpt2")
    assert windows_of(model, None) == ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
    with pytest.raises(CircuitError, match=r"got the window \(2, 3\)"):
        windows_of(model, [(2, 3)])
    with pytest.raises(CircuitError, match="no windows"):
        windows_of(model, [])


def test_refusals(tiny_model: Any) -> None:
    model = tiny_model("gpt2")
    free = Task.from_records(
        [{"text": "a", "t": "b"}] * 4, [{"text": "a", "t": "b"}] * 4, target_field="t", template="{text}:"
    )
    with pytest.raises(CircuitError, match="free-text answers"):
        inference_circuit(model, free)
    with pytest.raises(CircuitError, match="k=0"):
        inference_circuit(model, toy(), k=0)
    with pytest.raises(CircuitError, match="got no edges"):
        inference_circuit(model, toy(), edges=[])


def test_icl_mini_runs() -> None:
    """The shipped model on a shipped task; what holds there is measured with more prompts than a test can run."""
    result = inference_circuit(
        load_model("icl-mini"), load_task("mini/sentiment"), **SMALL, windows=[(0, 3)], untrained=False
    )
    assert len(result.summary()) == 3 + 6 * 3  # four edges of the paper, two wider cuts
    assert list(result.data.edge.values) == [*EDGES, *BYPASSES]


def test_the_window_is_chosen_on_held_out_queries_by_the_loss(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted losses: the second window costs most beyond its control, though the first one costs most."""
    from iclmech.experiments._inference_circuit import _cuts as cuts

    costs = {((0, 0), "cut"): 3.0, ((0, 0), "random"): 2.9, ((1, 1), "cut"): 2.0, ((1, 1), "random"): 0.5}

    def run_cut(_model: Any, prompts: Any, _edges: Any, window: Any, arm: str, _seed: int) -> Any:
        seen.append(prompts.meta["queries_from"])
        return cuts.Scores(np.ones((2, 3)), np.full((2, 3), costs[window, arm])), None

    seen: list[str] = []
    monkeypatch.setattr(cuts, "run_cut", run_cut)
    model = tiny_model("gpt2", n_layers=2)
    prompts = build_prompts(model, toy(), 2, 4, queries_from="train")
    request = CircuitRequest(k=2, n_queries=4, n_contexts=1, n_held_out=4, untrained=False, n_boot=10)
    plan = CircuitPlan(request, toy(), (0,), ("y->s_q",), ((0, 0), (1, 1)))
    chosen, _, nll = cuts.choose_windows(model, prompts, plan)
    assert chosen == {"y->s_q": (1, 1)}
    assert nll.tolist() == [pytest.approx([0.1, 1.5])]
    assert set(seen) == {"train"}
