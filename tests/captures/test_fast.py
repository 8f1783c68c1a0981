from __future__ import annotations

import gc
import weakref

import pytest
import torch
from test_run import PREFIX, ROWS, assert_same, gathered

from iclmech._base import CaptureError
from iclmech.captures import Row, _paths, capture, iter_run
from iclmech.captures._run_rows import Job
from iclmech.captures._twin_run import SITES, FastRun, packed
from iclmech.models import ICLModel, Twin
from iclmech.updates import gradient_descent

FAST = ("gpt2", "gpt_neox", "llama", "qwen2")


def sites_of(model: ICLModel) -> list[str]:
    return [site for site in SITES if site == "attn_scores" or model.backend.point(site, 0) is not None]


def way(model: ICLModel, rows=ROWS, sites=("resid_post",), **kwargs) -> str:
    return _paths.choose(model, Job(PREFIX, rows, sites, **kwargs), "auto")


@pytest.mark.parametrize("family", FAST)
def test_equals_the_hooked_path_at_every_site(family, tiny_model):
    model = tiny_model(family)
    rows = [Row(row.tokens, (len(row.tokens) - 1, 0)) for row in ROWS]
    slow = gathered(model, PREFIX, rows, sites_of(model), path="uncached")
    assert_same(gathered(model, PREFIX, rows, sites_of(model), path="fast"), slow)
    assert way(model) == "fast"


@pytest.mark.parametrize("family", FAST)
def test_layers_below_the_top(family, tiny_model):
    model = tiny_model(family)
    for layers in ([1], [2, 0]):
        slow = gathered(model, PREFIX, ROWS, sites_of(model), path="uncached", layers=layers)
        assert_same(gathered(model, PREFIX, ROWS, sites_of(model), path="fast", layers=layers), slow)


@pytest.mark.parametrize("family", FAST)
def test_positions_may_be_shifted(family, tiny_model):
    model = tiny_model(family)
    slow = gathered(model, [0], ROWS, sites_of(model), path="uncached", first_position=77)
    assert_same(gathered(model, [0], ROWS, sites_of(model), path="fast", first_position=77), slow)


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("parameters", ["attn_kv", "all"])
def test_updates_reach_the_twin_and_leave_it(family, parameters, fresh_model, prompts_for):
    model = fresh_model(family)
    prompts = prompts_for(model)
    before = gathered(model, PREFIX, ROWS, ("resid_post",), path="fast")
    update = gradient_descent(model, prompts, lr=0.2, parameters=parameters)
    with update.applied(model):
        slow = gathered(model, PREFIX, ROWS, ("resid_post",), path="uncached")
        assert_same(gathered(model, PREFIX, ROWS, ("resid_post",), path="fast"), slow)
        assert not torch.allclose(slow[0]["resid_post"], before[0]["resid_post"], atol=1e-3)
    after = gathered(model, PREFIX, ROWS, ("resid_post",), path="fast")
    for row in before:
        assert torch.equal(after[row]["resid_post"], before[row]["resid_post"])


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_weights_that_move_house_are_followed(family, fresh_model):
    """Data replaced under a parameter, past every version counter."""
    model = fresh_model(family)
    gathered(model, PREFIX, ROWS, ("resid_post",), path="fast")
    for parameter in model.parameters():
        parameter.tensor.data = parameter.tensor.data * 1.5
    slow = gathered(model, PREFIX, ROWS, ("resid_post",), path="uncached")
    assert_same(gathered(model, PREFIX, ROWS, ("resid_post",), path="fast"), slow)


@pytest.mark.parametrize("words", [("a", "positive"), ("positive", "negative", "neutral words")])
def test_capture_is_the_same_on_every_path(words, tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model, words=words, n_contexts=2)
    sites = ("attn_out", "attn_scores", "attn_pattern", "context_scores", "context_pattern", "z", "logits")
    fast, cached, whole = (capture(model, prompts, "icl", sites, path=path) for path in ("fast", "cached", "uncached"))
    for acts in (fast, cached):
        assert torch.allclose(acts.label_scores, whole.label_scores, atol=1e-5)
        for site in sites:
            assert torch.allclose(acts[site], whole[site], atol=2e-5, equal_nan=True), site
    on_auto = capture(model, prompts, "icl", sites)
    assert all(torch.equal(on_auto[s].nan_to_num(), fast[s].nan_to_num()) for s in sites)


def test_what_keeps_off_the_fast_path(fresh_model):
    model = fresh_model("gpt2")
    assert way(model) == "fast"
    assert way(model, sites=("q",)) == "cached"
    assert way(model, rows=[ROWS[0]], sites=("k",)) == "uncached"
    assert way(model, rows=[*ROWS, Row(torch.zeros(2, 32), (0,))]) == "fast"
    assert way(model, interventions=[lambda model, layout: []]) == "uncached"
    assert way(model, grad=True) == "cached"
    model.hooked.train()
    assert way(model) == "fast"  # whatever is read is read in evaluation mode
    model.hooked.eval()
    point = model.hooked.hook_dict["blocks.0.hook_resid_post"]
    point.add_hook(lambda tensor, hook: None)
    assert way(model) == "uncached"
    point.remove_hooks()
    handle = model.hooked.blocks[1].mlp.register_forward_hook(lambda module, args, output: None)
    assert way(model) == "uncached"
    with pytest.raises(CaptureError, match=r"path='fast' is not possible: the model carries hooks of its user\. Use"):
        list(iter_run(model, PREFIX, ROWS, ("resid_post",), path="fast"))
    handle.remove()
    assert way(model) == "fast"


def test_families_without_a_twin(tiny_model, native_model, tiny_tokenizer):
    """GPT-Neo does not ask for registered attention functions; native models are not of transformers."""
    assert way(tiny_model("gpt_neo")) == "cached"
    native = native_model(tiny_tokenizer)
    assert way(native) == "uncached"
    with pytest.raises(CaptureError, match="no fast path: no plain twin"):
        _paths.fast_twin(native)


def test_a_twin_that_differs_is_refused(fresh_model, monkeypatch):
    model = fresh_model("gpt_neox")
    monkeypatch.setattr(Twin, "refresh", lambda self: [p.fused.data.zero_() for p in self._parts])
    assert way(model) == "cached"
    with pytest.raises(CaptureError, match="the plain twin differs from the model in layer 0"):
        list(iter_run(model, PREFIX, ROWS, ("resid_post",), path="fast"))


def test_rows_that_come_out_wrong_are_refused(fresh_model, monkeypatch):
    model = fresh_model("llama")
    real = FastRun.__init__

    def off_by_a_little(self, *args):
        real(self, *args)
        self.values = {layer: 1.01 * value for layer, value in self.values.items()}

    monkeypatch.setattr(FastRun, "__init__", off_by_a_little)
    assert way(model) == "cached"
    with pytest.raises(CaptureError, match="the plain twin differs from the model in resid_pre"):
        list(iter_run(model, PREFIX, ROWS, ("resid_post",), path="fast"))


def test_parallel_blocks_have_no_middle(tiny_model):
    with pytest.raises(CaptureError, match="parallel"):
        list(iter_run(tiny_model("gpt_neox"), PREFIX, ROWS, ("resid_mid",)))


def test_the_twin_goes_with_its_model(fresh_model):
    model = fresh_model("gpt2")
    list(iter_run(model, PREFIX, ROWS, ("resid_post",), path="fast"))
    gone = weakref.ref(_paths.fast_twin(model))
    del model
    gc.collect()
    assert gone() is None


def test_gradient_mode_stays_the_callers(tiny_model):
    for path in ("fast", "cached", "uncached"):
        for _ in iter_run(tiny_model("gpt2"), PREFIX, ROWS, ("resid_post",), path=path):
            assert torch.is_grad_enabled()


def test_chunks_hold_what_fits(tiny_model):
    assert packed([300, 10, 20, 400, 15], 320) == [(1, 4, 2), (0,), (3,)]
    assert packed([], 320) == []


def test_half_precision(fresh_model, prompts_for):
    model = fresh_model("llama", dtype=torch.bfloat16)
    prompts = prompts_for(model)
    fast, slow = (capture(model, prompts, "icl", ("attn_out",), path=path) for path in ("fast", "uncached"))
    assert fast["attn_out"].dtype == torch.float32
    assert float((fast["attn_out"] - slow["attn_out"]).norm() / slow["attn_out"].norm()) < 0.03
