"""`compare` on a real language model and real corpora, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import iclmech as icl

SHARED = Path(__file__).parents[3] / "shared"
MODEL = SHARED / "models" / "stories260K"
pytestmark = pytest.mark.skipif(
    not MODEL.is_dir(), reason="no ../shared beside the checkout: it holds the real model and data"
)


@pytest.mark.parametrize("name", ["sst2", "cb"])
def test_k_is_cut_to_the_window_and_said_so(name: str):
    model = icl.load_model(MODEL)
    assert model.shape.n_kv_heads < model.shape.n_heads, "grouped queries are the point of this model"
    task = icl.load_task(name, data=SHARED / "data" / name)
    with pytest.warns(icl.ICLMechWarning, match="of the 32 demonstrations asked for remain"):
        result = icl.compare(
            model,
            task,
            k=32,
            n_queries=12,
            seeds=1,
            lr=0.01,
            controls="essential",
            n_boot=50,
            n_examples=1,
            progress=False,
        )
    assert any("of the 32 demonstrations asked for remain" in note for note in result.notes), result.notes
    accuracy = result.data["accuracy"].sel(variant="trained")
    assert ((accuracy >= 0) & (accuracy <= 1)).sel(setting=["zs", "icl", "ft:gd", "ft:lcgd"]).all()
    similarity = result.data["sim_aou"].sel(variant="trained", comparison=["gd", "lcgd"])
    assert np.isfinite(similarity).all()
    assert (abs(similarity) <= 1).all()
