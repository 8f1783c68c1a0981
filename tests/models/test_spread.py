"""A model whose weights lie in memory and on the disk: read like any other, changed not at all."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import torch

from iclmech._base import ModelError
from iclmech.captures import capture, estimate_memory
from iclmech.interventions import add, cut_edges, zero
from iclmech.models import ICLModel, load_model
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.updates import WeightUpdate, gradient_descent

pytest.importorskip("accelerate", reason="spreading a model takes accelerate")
pytestmark = pytest.mark.skipif(
    version("transformer-lens") < "4", reason="TransformerLens before 4.0 refuses models that lie on the disk in part"
)
PLACES = {
    "model.embed_tokens": "cpu", "model.layers.0": "disk", "model.layers.1": "cpu", "model.layers.2": "disk",
    "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "disk",
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(tiny_path: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[ICLModel, ICLModel]:
    path = tiny_path("llama")
    spread = load_model(path, device_map=PLACES, offload_folder=tmp_path_factory.mktemp("weights"))
    return load_model(path, device="cpu"), spread


def prompts_of(model: ICLModel) -> PromptSet:
    records = [{"text": text, "label": n % 2} for n, text in enumerate(("fine", "dull film", "a", "it is"))]
    task = Task.from_records(records, records, template="{text}:", label_words=["a", "positive"], name="small")
    return build_prompts(model, task, k=2, n_queries=2, seed=1)


@pytest.mark.parametrize("setting", ["icl", "zs"])
def test_it_is_read_as_the_whole_model_is(setting, pair):
    whole, spread = pair
    assert spread.spread
    assert not whole.spread
    assert sum(p.is_meta for p in spread.hooked.parameters()) > 10
    sites, prompts = ("attn_out", "resid_post", "attn_scores", "z"), prompts_of(whole)
    for changes in (
        [],
        [zero("attn_out", layers=1)],
        [cut_edges(None, "x->s")],
        [add("resid_post", torch.ones(32), layers=0, at=-1)],
    ):
        options: dict[str, Any] = {"interventions": changes}
        a = capture(whole, prompts, setting, sites, path="uncached", **options)
        b = capture(spread, prompts, setting, sites, **options)
        for site in sites:
            torch.testing.assert_close(b[site], a[site], equal_nan=True)
        torch.testing.assert_close(b.label_scores, a.label_scores)


def test_it_has_the_same_hash_and_less_in_memory(pair):
    whole, spread = pair
    assert spread.hash() == whole.hash()
    prompts = prompts_of(whole)
    assert estimate_memory(spread, prompts).weights < estimate_memory(whole, prompts).weights


def test_its_weights_are_not_changed(pair):
    whole, spread = pair
    prompts = prompts_of(whole)
    update = gradient_descent(whole, prompts, lr=0.1)
    assert isinstance(update, WeightUpdate)
    with pytest.raises(ModelError, match="spread by a device map"):
        gradient_descent(spread, prompts, lr=0.1)
    with pytest.raises(ModelError, match="spread by a device map"), update.applied(spread):
        pass
