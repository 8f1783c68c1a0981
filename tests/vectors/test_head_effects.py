"""Indirect effects of heads against a naive loop of plain forward passes, one per prompt, layer and head."""

from __future__ import annotations

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.vectors import VectorError, head_effects
from iclmech.vectors._corrupted import corrupted

OUTPUT = {"llama": "self_attn.o_proj", "gpt2": "attn.c_proj"}
WIDTH, HEADS = 8, 4


class Naive:
    """A plain transformers model whose heads' outputs at the last token can be seen and replaced."""

    def __init__(self, plain, family):
        self.plain = plain
        self.modules = [m for name, m in plain.named_modules() if name.endswith(OUTPUT[family])]

    def __call__(self, tokens, change=None):
        """(P of every token, outputs [layer, head, d_head] at the last token); change: (layer, head, output)."""
        seen = []

        def before(layer, module, args):
            states = args[0].clone()
            if change is not None and change[0] == layer:
                states[0, -1, change[1] * WIDTH : (change[1] + 1) * WIDTH] = change[2]
            seen.append(states[0, -1].unflatten(0, (HEADS, WIDTH)))
            return (states, *args[1:])

        handles = [
            m.register_forward_pre_hook(lambda mod, a, n=n: before(n, mod, a)) for n, m in enumerate(self.modules)
        ]
        with torch.no_grad():
            logits = self.plain(torch.tensor([tokens])).logits[0, -1].double()
        for handle in handles:
            handle.remove()
        return logits.softmax(-1), torch.stack(seen)


@pytest.fixture(params=["llama", "gpt2"])
def setting(request, tiny_model, tiny_hf, head_prompts):
    """(model, prompts, corrupted prompts, naive model, mean outputs)."""
    model = tiny_model(request.param)
    prompts, naive = head_prompts(model), Naive(tiny_hf(request.param), request.param)
    means = torch.stack([naive(prompts.sequence(j))[1] for j in range(len(prompts.queries))]).mean(0)
    return model, prompts, corrupted(prompts, 5), naive, means


def target(prompts, j):
    query = prompts.queries[j]
    return prompts.contexts[query.context].label_tokens[query.label][0]


def test_variants_equal_the_naive_loop(setting):
    model, prompts, broken, naive, means = setting
    found = head_effects(model, prompts, "exact", seed=5)
    for j in range(len(prompts.queries)):
        token = target(prompts, j)
        base = float(naive(broken.sequence(j))[0][token])
        assert float(found.data["probability"].sel(setting="corrupted")[j]) == pytest.approx(base, abs=1e-6)
        for layer in range(3):
            for head in range(HEADS):
                p = float(naive(broken.sequence(j), (layer, head, means[layer, head]))[0][token])
                assert float(found.cie[j, layer, head]) == pytest.approx(p - base, abs=1e-5)
                log = float(found.data["cie_log"][j, layer, head])
                assert log == pytest.approx(float(torch.tensor(p / base).log()), abs=1e-4)
    torch.testing.assert_close(found.aie, found.cie.mean(0))
    assert bool(found.verified.all())


def test_attribution_is_the_slope_towards_the_mean(setting):
    model, prompts, broken, naive, means = setting
    found = head_effects(model, prompts, "attribution", seed=5)
    assert not bool(found.verified.any())
    assert bool(found.cie.isnan().all())
    estimate, step = torch.tensor(found.data["estimate"].values), 1e-2
    for j in (0, 3):
        token = target(prompts, j)
        _, own = naive(broken.sequence(j))
        for layer, head in ((0, 1), (1, 3), (2, 2)):
            both = [
                float(naive(broken.sequence(j), (layer, head, own[layer, head].lerp(means[layer, head], s)))[0][token])
                for s in (step, -step)
            ]
            assert float(estimate[j, layer, head]) == pytest.approx(
                (both[0] - both[1]) / (2 * step), abs=2e-5, rel=2e-2
            )
    torch.testing.assert_close(found.aie, estimate.mean(0))


def test_verified_runs_the_extremes_of_the_estimate_and_some_others(tiny_model, head_prompts):
    model = tiny_model("llama")
    prompts = head_prompts(model)
    exact, guess = (head_effects(model, prompts, method) for method in ("exact", "attribution"))
    found = head_effects(model, prompts, "verified", n=1, n_random=2)
    order = guess.aie.reshape(-1).argsort(descending=True).tolist()
    run = set(found.verified.reshape(-1).nonzero()[:, 0].tolist())
    assert {*order[:3], order[-1]} < run
    assert len(run) == 6
    assert int(found.data["random"].sum()) == 2
    torch.testing.assert_close(found.cie[:, found.verified], exact.cie[:, found.verified])
    assert bool(found.cie[:, ~found.verified].isnan().all())
    torch.testing.assert_close(found.aie[~found.verified], guess.aie[~found.verified])
    assert bool(found.verified[found.top()[0]])
    assert 0 <= found.screening()["recall"] <= 1


def test_means_of_other_prompts_can_be_put_in(tiny_model, head_prompts):
    """A head's own outputs under the corrupted prompt put in its place change nothing."""
    model = tiny_model("llama")
    prompts = head_prompts(model, n_queries=1, n_contexts=1)
    from iclmech.captures import capture

    own = capture(model, corrupted(prompts, 0), "icl", ("z",))["z"][0]
    found = head_effects(model, prompts, "exact", means=own)
    assert float(found.cie.abs().max()) < 1e-7
    assert float(head_effects(model, prompts, "exact").cie.abs().max()) > 1e-4


def test_refusals(tiny_model, head_prompts):
    from dataclasses import replace

    model = tiny_model("llama")
    prompts = head_prompts(model)
    with pytest.raises(CaptureError, match="expected 'verified', 'exact' or 'attribution'"):
        head_effects(model, prompts, "guess")
    first, second = prompts.contexts
    mixed = replace(prompts, contexts=[first, replace(second, label_words=["x", "y"])])
    with pytest.raises(VectorError, match="differ in their label words"):
        head_effects(model, mixed)
