"""Order sensitivity against a loop over the prompts; updates; files; refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iclmech.captures import capture
from iclmech.experiments import ExperimentError, OrderSensitivity, order_sensitivity
from iclmech.tasks import Task, build_prompts

RECORDS = [{"text": f"{t} {n}", "label": n % 2} for n in range(3) for t in ("fine", "dull", "it is", "great")]
TASK = Task.from_records(RECORDS, RECORDS, template="{text}:", label_words=["a", "is"], name="toy")


def test_against_a_loop(tiny_model: Any, tmp_path: Path) -> None:
    model = tiny_model("gpt2", n_layers=2)
    result = order_sensitivity(model, TASK, k=3, n_queries=4, n_orders=3, seeds=2, updates="gd", lr=0.05, n_boot=20)
    spreads, overlaps = [], []
    for seed in range(2):
        prompts = build_prompts(model, TASK, 3, 4, seed)
        orders = [prompts, prompts.reordered(1000 * seed + 1), prompts.reordered(1000 * seed + 2)]
        runs = [capture(model, p, "icl", ("logits",), path="uncached") for p in orders]
        p = np.stack([r.label_probs.double().numpy() for r in runs])
        spreads.append(p.std(axis=0).sum(axis=-1).mean())
        top = [[set(row.argsort()[-10:].tolist()) for row in r["logits"].numpy()] for r in runs]
        overlaps += [np.mean([len(a & b) / 10 for a, b in zip(top[0], other, strict=True)]) for other in top[1:]]
    d = result.data
    assert float(d["sensitivity_labels"].sel(setting="icl")) == pytest.approx(np.mean(spreads), rel=1e-4)
    assert float(d["token_overlap"].sel(pair="icl~icl:reordered")) == pytest.approx(np.mean(overlaps), abs=1e-5)
    assert float(d["sensitivity_vocabulary"].sel(setting="zs")) == 0
    assert float(d["sensitivity_labels"].sel(setting="ft:gd")) > 0
    assert float(d["vocabulary_kl"].sel(pair="icl~zs")) > float(d["vocabulary_kl"].sel(pair="icl~icl:reordered")) >= 0
    again = OrderSensitivity.load(result.save(tmp_path / "order.nc"))
    assert again.data.identical(d)
    assert again.summary().equals(result.summary())
    assert "3 orders" in repr(again)


def test_an_update_that_changes_nothing_has_no_order(tiny_model: Any) -> None:
    model = tiny_model("gpt2", n_layers=2)
    result = order_sensitivity(
        model, TASK, k=2, n_queries=3, n_orders=2, seeds=1, updates=("lcgd",), lr={"lcgd": 0.0}, n_boot=10
    )
    d = result.data
    assert float(d["sensitivity_vocabulary"].sel(setting="ft:lcgd")) == 0
    assert float(d["label_js"].sel(pair="icl~ft:lcgd")) == pytest.approx(
        float(d["label_js"].sel(pair="icl~zs")), abs=1e-6
    )
    assert torch.isfinite(torch.from_numpy(d["vocabulary_kl"].values)).all()


def test_refusals(tiny_model: Any) -> None:
    with pytest.raises(ExperimentError, match="at least two orders"):
        order_sensitivity(tiny_model("gpt2", n_layers=2), TASK, n_orders=1)
