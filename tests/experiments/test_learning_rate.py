"""`lr="auto"` from end to end: what it walks, extends, refuses and tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import iclmech as icl
from iclmech._base import UpdateError
from iclmech.experiments import CompareError, CompareRequest
from iclmech.experiments.comparison import _held_out as held_out
from iclmech.experiments.comparison._learning_rate import label_entropy
from iclmech.experiments.comparison._measure import Condition
from iclmech.experiments.comparison._plan import plan_of
from iclmech.experiments.comparison._records import Records

COMMON: dict[str, Any] = {"k": 4, "n_queries": 8, "seeds": 1, "controls": "none", "n_boot": 20, "progress": False}


@pytest.fixture(scope="module")
def mini() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def chosen(mini: icl.ICLModel) -> icl.Comparison:
    return icl.compare(mini, "mini/topic-symbols", updates="lcgd", **COMMON)


def test_the_chosen_rate_is_sane_and_the_likeliest(chosen: icl.Comparison) -> None:
    data = chosen.data.sel(update="lcgd")
    rate, refused = data.lr_value.item(), data.rate_refused
    assert refused.sel(rate=rate) == 0
    assert data.rate_label_nll.sel(rate=rate) == data.rate_label_nll.where(refused == 0).min()
    assert data.rate_label_nll.sel(rate=rate) < chosen.data.rate_label_nll_zs
    walked = ~np.isnan(data.rate_label_nll.values)
    assert walked[: walked.sum()].all()  # upwards, without a hole
    assert (refused.values[walked][:-1] == 0).all()  # the first refused one ends it
    assert np.isnan(data.rate_text_nll.values[~walked]).all()


def test_the_curve_has_parts_intervals_and_lines_to_compare_with(chosen: icl.Comparison) -> None:
    data = chosen.data
    assert data.rate_label_nll_by_draw.dims == ("update", "rate", "draw")
    assert data.sizes["draw"] == 3
    np.testing.assert_allclose(data.rate_nll_mass + data.rate_nll_conditional, data.rate_label_nll)
    for name in ("label_nll", "accuracy", "nll_mass", "nll_conditional"):
        assert {f"rate_{name}_zs", f"rate_{name}_icl"} <= set(data.data_vars)
    walked = data.rate_label_nll.notnull()
    inside = (data.rate_label_nll_ci[..., 0] < data.rate_label_nll) & (
        data.rate_label_nll < data.rate_label_nll_ci[..., 1]
    )
    assert inside.where(walked, True).all()
    assert (data.rate_displacement.mean("layer").where(walked).diff("rate").fillna(1) > 0).all()


def test_the_note_names_what_the_rate_rests_on(chosen: icl.Comparison) -> None:
    (note,) = chosen.notes
    for part in (
        *("lcgd: learning rate", "held-out training examples (3 draws", "label NLL", "for giving a label word at all"),
        *("among them", "accuracy", "‖ΔW‖/‖W‖", "displacement", "The next refused rate is"),
    ):
        assert part in note


def test_a_lowest_loss_at_an_end_extends_the_grid(mini: icl.ICLModel) -> None:
    def fierce(model: icl.ICLModel, prompts: icl.PromptSet, lr: float) -> icl.WeightUpdate:
        return icl.layer_causal_gd(model, prompts, lr=300 * lr)

    found = icl.compare(mini, "mini/topic-symbols", updates={"fierce": fierce}, **COMMON).data
    assert found.rate.min() < 1e-4
    assert found.lr_value.item() < 1e-4
    assert found.rate_refused.sel(update="fierce", rate=found.lr_value.item()) == 0


def test_what_never_teaches_is_compared_at_its_largest_sane_rate(mini: icl.ICLModel) -> None:
    def away(model: icl.ICLModel, prompts: icl.PromptSet, lr: float) -> icl.WeightUpdate:
        return icl.gradient_descent(model, prompts, lr=lr).scaled(-1)

    found = icl.compare(mini, "mini/topic-symbols", updates={"away": away}, **COMMON)
    data = found.data
    sane = data.rate_label_nll.where(data.rate_refused == 0).sel(update="away").dropna("rate")
    assert data.lr_value.item() == sane.rate.values[-1]
    assert data.rate_helps.item() == 0
    assert any("No learning rate of away makes" in note for note in found.notes)


def test_an_update_that_is_refused_everywhere_is_an_error(mini: icl.ICLModel) -> None:
    def broken(model: icl.ICLModel, prompts: icl.PromptSet, lr: float) -> icl.WeightUpdate:
        raise UpdateError("not finite")

    with pytest.raises(CompareError, match=r"broken is refused at every learning rate.*diverges"):
        icl.compare(mini, "mini/topic-symbols", updates={"broken": broken}, **COMMON)


def test_one_diverging_rate_does_not_take_the_others_with_it(
    mini: icl.ICLModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = icl.load_task("mini/topic-symbols")
    plan = plan_of(CompareRequest(k=2, n_queries=2, seeds=1, updates=("gd",)), task, "m", {})
    prompts = icl.build_prompts(mini, task, k=2, n_queries=2)
    condition = Condition(plan, Records(), mini, prompts, "trained")
    calls: list[Any] = []

    def fragile(name: str, model: Any, prompts: Any, lr: Any) -> Any:
        calls.append(lr)
        if max(np.atleast_1d(lr)) > 1:
            raise UpdateError("not finite")
        return icl.gradient_descent(model, prompts, lr=lr)

    monkeypatch.setattr(type(plan), "update", lambda self, *arguments: fragile(*arguments))
    rates = [0.001, 0.01, 0.1, 5.0]
    made = held_out.updates_at(condition, "gd", rates)
    assert calls[0] == rates  # all in one call at first
    assert [m is None for m in made] == [False, False, False, True]
    alone = icl.gradient_descent(mini, prompts, lr=0.01)
    assert made[1].norm() == pytest.approx(alone.norm(), rel=1e-4)


def test_text_likelihood_is_that_of_the_bare_text(mini: icl.ICLModel) -> None:
    import torch

    prompts = icl.build_prompts(mini, icl.load_task("mini/sentiment"), k=2, n_queries=3)
    texts = held_out.input_texts(prompts)
    assert texts is not None
    lost, count = 0.0, 0
    for query in prompts.queries:
        ids = [
            prompts.bos,
            *(t for span in query.spans if span.role == "text" for t in query.tokens[span.start : span.stop]),
        ]
        log_p = mini.forward(torch.tensor([ids])).detach().log_softmax(-1)[0]
        lost -= sum(float(log_p[i, ids[i + 1]]) for i in range(1, len(ids) - 1))
        count += len(ids) - 2
    assert held_out.text_nll(mini, texts) == pytest.approx(lost / count, abs=1e-4)
    assert np.isnan(held_out.text_nll(mini, None))


def test_entropy_of_the_training_labels() -> None:
    records = [{"text": "a", "label": 0}] * 3 + [{"text": "b", "label": 1}]
    task = icl.Task.from_records(records, records, template="{text}", label_words=["no", "yes"])
    assert label_entropy(task) == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
