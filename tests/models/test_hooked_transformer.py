"""A HookedTransformer (TransformerLens 3.9) gives what a bridge around the same weights gives."""

from __future__ import annotations

import warnings
from importlib import metadata
from typing import Any

import pytest
import torch

from iclmech._base import ICLMechWarning, ModelError
from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.tasks import Task, build_prompts
from iclmech.updates import gradient_descent, layer_causal_gd

pytestmark = pytest.mark.skipif(
    int(metadata.version("transformer-lens").split(".")[0]) >= 4,
    reason="HookedTransformer was removed in TransformerLens 4.0",
)
FAMILIES = ("gpt2", "llama")


def hooked_transformer(family: str, hf: Any, tokenizer: Any) -> Any:
    """The weights of a plain model in a HookedTransformer, by TransformerLens' own conversion."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained import weight_conversions

    c = hf.config
    common = {
        "d_model": c.hidden_size, "n_heads": c.num_attention_heads, "n_layers": c.num_hidden_layers, "d_vocab": c.vocab_size,
        "d_head": c.hidden_size // c.num_attention_heads, "n_ctx": c.max_position_embeddings, "init_weights": False,
        "device": "cpu", "seed": 0,
    }  # fmt: skip
    if family == "gpt2":
        cfg = HookedTransformerConfig(
            act_fn="gelu_new",
            normalization_type="LN",
            d_mlp=c.n_inner or 4 * c.n_embd,
            eps=c.layer_norm_epsilon,
            **common,
        )
        state = weight_conversions.convert_gpt2_weights(hf, cfg)
    else:
        cfg = HookedTransformerConfig(
            act_fn="silu", normalization_type="RMS", d_mlp=c.intermediate_size, positional_embedding_type="rotary",
            rotary_dim=common["d_head"], rotary_adjacent_pairs=False, gated_mlp=True, final_rms=True, eps=c.rms_norm_eps,
            rotary_base=10000, n_key_value_heads=c.num_key_value_heads, **common,
        )  # fmt: skip
        state = weight_conversions.convert_llama_weights(hf, cfg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = HookedTransformer(cfg, tokenizer)
    model.load_state_dict(state, strict=False)
    return model


@pytest.fixture(params=FAMILIES)
def pair(request: pytest.FixtureRequest, fresh_model: Any, tiny_hf: Any) -> tuple[ICLModel, ICLModel]:
    """The same weights as HookedTransformer and as bridge."""
    bridge = fresh_model(request.param)
    return ICLModel(hooked_transformer(request.param, tiny_hf(request.param), bridge.tokenizer)), bridge


@pytest.fixture
def prompts(pair: tuple[ICLModel, ICLModel]):
    records = [{"text": f"a {'good' if n % 2 else 'bad'} one {n}", "label": n % 2} for n in range(24)]
    task = Task.from_records(records, records, template="It: {text} =", label_words=["no", "yes"], name="two")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ICLMechWarning)  # byte-level words share their leading space
        return build_prompts(pair[1], task, k=4, n_queries=5)


@pytest.mark.parametrize("position", ["prediction", "label"])
def test_captures_equal_those_of_the_bridge(pair, prompts, position):
    sites = ("resid_pre", "attn_out", "resid_post", "q", "k", "v", "z", "attn_scores", "attn_pattern", "context_scores")
    got, expected = (capture(model, prompts, "icl", sites, position) for model in pair)
    for site in sites:
        torch.testing.assert_close(got[site], expected[site], rtol=1e-5, atol=2e-5, equal_nan=True)
    torch.testing.assert_close(got.label_scores, expected.label_scores, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("loss", ["label", "all"])
def test_updates_equal_those_of_the_bridge(pair, prompts, loss):
    for rule in (gradient_descent, layer_causal_gd):
        got, expected = (rule(model, prompts, lr=0.05, loss=loss) for model in pair)
        for layer in range(pair[0].shape.n_layers):
            for kind in ("k", "v", "k_bias", "v_bias"):
                a, b = got.delta(layer, kind), expected.delta(layer, kind)
                assert (a is None) == (b is None)
                if a is not None:
                    assert (a - b).norm() <= 1e-4 * b.norm() + 1e-7


def test_a_folded_model_is_refused_for_updates(fresh_model, tiny_hf):
    bridge = fresh_model("gpt2")
    model = hooked_transformer("gpt2", tiny_hf("gpt2"), bridge.tokenizer)
    model.process_weights_(fold_ln=True, center_writing_weights=False, center_unembed=False)
    with pytest.raises(ModelError, match="from_pretrained_no_processing"):
        ICLModel(model).require_raw()


def test_the_untrained_twin_keeps_embeddings_and_draws_the_rest(pair):
    model, _ = pair
    twin = model.untrained(0)
    assert torch.equal(twin.hooked.W_E, model.hooked.W_E)
    assert not torch.equal(twin.hooked.W_K, model.hooked.W_K)
    assert model.untrained(0).hash() == twin.hash() != model.untrained(1).hash()
