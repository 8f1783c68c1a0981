"""The reference is itself held against transformers and against finite differences."""

from __future__ import annotations

import pytest
import torch

import reference
from reference._models import blocks, canonical, parameter_of
from reference._train import gradient_of_layer, gradient_of_output

TOKENS = [0, 40, 41, 60, 75, 90, 33, 12, 55, 81, 19, 44]
SAMPLE = (TOKENS, (10, 12))


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_scores_give_the_pattern_that_transformers_used(family, tiny_hf):
    model = tiny_hf(family)
    seen = reference.record(model, TOKENS, n_own=len(TOKENS))
    scores = seen["all_scores"].nan_to_num(nan=-torch.inf)
    assert scores.isinf().any() == (family == "gpt_neo")  # whose window is shorter than this
    torch.testing.assert_close(scores.softmax(-1), seen["all_patterns"], rtol=0, atol=1e-5)
    assert seen["all_patterns"].max() > 0.2  # not uniform: the models are not degenerate


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_last_readout_is_the_output(family, tiny_hf):
    model = tiny_hf(family)
    seen = reference.record(model, TOKENS, n_own=4)
    torch.testing.assert_close(reference.readout(model, seen["resid_post"][-1]), seen["logits"], rtol=0, atol=1e-5)


def test_tokenizer_is_small_and_round_trips(tiny_tokenizer):
    text = "Review: 🙂 fine\nSentiment: positive"
    ids = tiny_tokenizer.encode(text, add_special_tokens=False)
    assert len(tiny_tokenizer) < 300
    assert tiny_tokenizer.decode(ids) == text
    assert (tiny_tokenizer.bos_token_id, tiny_tokenizer.eos_token_id) == (0, 1)


@pytest.mark.parametrize(("family", "step", "tolerance"), [("gpt2", 1e-5, 1e-6), ("gpt_neox", 1e-3, 1e-3)])
@pytest.mark.parametrize("loss", ["all", "label"])
def test_gradient_of_output_by_finite_differences(family, step, tolerance, loss, tiny_hf):
    """In float64; transformers' GPT-NeoX takes its softmax in float32 all the same, hence the longer step there."""
    model = tiny_hf(family, dtype=torch.float64)
    gradients = gradient_of_output(model, SAMPLE, loss)
    generator = torch.Generator().manual_seed(0)

    def value() -> float:
        logits = model(torch.tensor([TOKENS])).logits[0].log_softmax(-1)
        counted = range(1, len(TOKENS)) if loss == "all" else range(10, 12)
        return -sum(float(logits[i - 1, TOKENS[i]]) for i in counted) / len(counted)

    for (layer, kind), gradient in gradients.items():
        direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        weight = canonical(model, kind, parameter_of(model, layer, kind).data)
        with torch.no_grad():
            weight.add_(step * direction)
            up = value()
            weight.sub_(2 * step * direction)
            down = value()
            weight.add_(step * direction)
        expected = float((gradient * direction).sum())
        assert (up - down) / (2 * step) == pytest.approx(expected, rel=tolerance, abs=tolerance), (layer, kind)


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_last_layer_learns_the_same_either_way(family, tiny_hf):
    model = tiny_hf(family)
    last = len(blocks(model)) - 1
    causal, plain = gradient_of_layer(model, last, SAMPLE, "all"), gradient_of_output(model, SAMPLE, "all")
    for key, gradient in causal.items():
        torch.testing.assert_close(gradient, plain[key], rtol=1e-5, atol=1e-7)
