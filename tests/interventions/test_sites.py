"""Edits of states against plain transformers and by hand; patterns; grafts; gradients; refusals."""

from __future__ import annotations

from typing import Any

import pytest
import reference._models as reference
import torch

from iclmech.captures import Row, capture, iter_run
from iclmech.interventions import InterventionError, add, graft, placed, replace, replace_pattern, scale, zero
from iclmech.models import weights_view

FAMILIES = ("gpt2", "llama", "gpt_neo")


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_attention_equals_a_plain_model_without(
    family: str, tiny_model: Any, tiny_hf: Any, toy_prompts: Any
) -> None:
    model, plain = tiny_model(family), tiny_hf(family)
    prompts = toy_prompts(model)
    module = reference.attention(reference.blocks(plain)[1], family)
    handle = module.register_forward_hook(lambda _m, _a, out: (torch.zeros_like(out[0]), *out[1:]))
    acts = capture(model, prompts, "icl", ("logits",), interventions=[zero("attn_out", layers=1)])
    for j in range(len(prompts.queries)):
        with torch.no_grad():
            wanted = plain(torch.tensor([prompts.sequence(j)])).logits[0, -1]
        torch.testing.assert_close(acts["logits"][j], wanted, atol=2e-5, rtol=1e-4)
    handle.remove()


def test_last_state_by_hand(tiny_model: Any, toy_prompts: Any) -> None:
    """What is done to the last residual state is done to the readout."""
    model = tiny_model("gpt2")
    prompts = toy_prompts(model)
    intact = capture(model, prompts, "icl", ("resid_post", "logits"))
    resid, push = intact["resid_post"][:, -1], torch.randn(32, generator=torch.Generator().manual_seed(0))
    wanted = {
        add("resid_post", push, layers=-1, at="s_q", prompts=prompts): resid + push,
        add("resid_post", {2: push}, layers=2, at=-1): resid + push,
        scale("resid_post", 0.5, layers=2): resid * 0.5,
        replace("resid_post", push, layers=2, at=-1): push.expand_as(resid),
    }
    for change, state in wanted.items():
        acts = capture(model, prompts, "icl", ("logits",), interventions=[change])
        torch.testing.assert_close(acts["logits"], model.readout(state).detach(), atol=1e-5, rtol=1e-5)
    elsewhere = capture(model, prompts, "icl", ("logits",), interventions=[add("resid_post", push, layers=2, at=0)])
    torch.testing.assert_close(elsewhere["logits"], intact["logits"], atol=1e-5, rtol=1e-5)


def test_heads(tiny_model: Any, toy_prompts: Any) -> None:
    """Without head 2 the attention output lacks what that head writes."""
    model = tiny_model("llama")
    prompts = toy_prompts(model)
    intact = capture(model, prompts, "icl", ("z", "attn_out"))
    changed = capture(
        model, prompts, "icl", ("attn_out",), interventions=[zero("z", layers=0, heads=2, at="s_q", prompts=prompts)]
    )
    lost = intact["z"][:, 0, 2] @ weights_view(model).W_O[0, 2]
    torch.testing.assert_close(intact["attn_out"][:, 0] - changed["attn_out"][:, 0], lost, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_graft_of_the_last_layer_is_the_other_run(family: str, tiny_model: Any, toy_prompts: Any) -> None:
    model = tiny_model(family)
    prompts = toy_prompts(model, words=("a", "is"))
    icl = capture(model, prompts, "icl", ("resid_post", "z"))
    last = {2: icl["resid_post"][:, 2]}
    grafted = capture(model, prompts, "zs", (), interventions=[graft(last, "resid_post", prompts=prompts)])
    torch.testing.assert_close(grafted.label_scores, icl.label_scores, atol=1e-5, rtol=1e-5)
    zs = capture(model, prompts, "zs", ())
    assert not torch.allclose(zs.label_scores, icl.label_scores, atol=1e-3)
    heads = capture(
        model, prompts, "zs", ("z",), interventions=[graft({1: icl["z"][:, 1]}, "z", heads=[0, 3], prompts=prompts)]
    )
    moved = capture(model, prompts, "zs", ("z",))["z"][:, 1] - heads["z"][:, 1]
    assert (moved.abs().amax(dim=(0, 2)) > 1e-4).tolist() == [True, False, False, True]
    torch.testing.assert_close(heads["z"][:, 1, [0, 3]], icl["z"][:, 1, [0, 3]])


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gpt_neo"])
def test_replaced_pattern_acts(family: str, tiny_model: Any, toy_prompts: Any) -> None:
    """All attention on BOS: z is BOS's value, whatever the query."""
    model = tiny_model(family)
    prompts = toy_prompts(model, n_queries=1, n_contexts=1)
    row = prompts.sequence(0)
    on_bos = torch.zeros(len(row), len(row))
    on_bos[:, 0] = 1
    seen: dict[str, torch.Tensor] = {}
    keepers = [(site, 1, lambda t, site=site: seen.update({site: t.detach()})) for site in ("v", "z")]
    with torch.no_grad(), placed(model, [replace_pattern(on_bos, layers=1, heads=[1])], [row]), model.hooks(keepers):  # type: ignore[arg-type]
        model.forward(torch.tensor([row]))
    kv = 1 // (model.shape.n_heads // model.shape.n_kv_heads)
    torch.testing.assert_close(seen["z"][0, :, 1], seen["v"][0, :1, kv].expand(len(row), -1), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(seen["z"][0, :, 0], seen["v"][0, :1, 0].expand(len(row), -1), atol=1e-3)


def test_gradient_of_an_added_vector(tiny_model: Any, toy_prompts: Any) -> None:
    """Against finite differences, through a replaced pattern as well."""
    model = tiny_model("gpt2")
    row = toy_prompts(model, n_queries=1, n_contexts=1).sequence(0)
    push = torch.zeros(32, requires_grad=True)
    direction = torch.randn(32, generator=torch.Generator().manual_seed(1))

    def value(vector: torch.Tensor) -> torch.Tensor:
        changes = [add("resid_pre", vector, layers=1, at=[2, -2]), replace_pattern(lambda p, _: 0.5 * p, layers=2)]
        with placed(model, changes, [row]):
            return model.forward(torch.tensor([row]))[0, -1, 7]

    (gradient,) = torch.autograd.grad(value(push), push)
    with torch.no_grad():
        numeric = (value(1e-2 * direction) - value(-1e-2 * direction)) / 2e-2
    assert float(gradient @ direction) == pytest.approx(float(numeric), rel=2e-2, abs=1e-4)


def test_refusals(tiny_model: Any, toy_prompts: Any) -> None:
    model = tiny_model("gpt_neox")
    prompts = toy_prompts(model)

    def run(change: Any) -> None:
        capture(model, prompts, "icl", (), interventions=[change])

    with pytest.raises(InterventionError, match="use cut_edges or replace_pattern"):
        zero("attn_pattern")
    with pytest.raises(InterventionError, match="resid_post has no heads"):
        zero("resid_post", heads=1)
    with pytest.raises(InterventionError, match="give prompts="), placed(model, [zero("resid_post", at="y")], [[0, 1]]):
        pass
    with pytest.raises(InterventionError, match="no resid_mid in layer 0"):
        run(zero("resid_mid"))
    with pytest.raises(InterventionError, match="broadcasts to"):
        run(add("resid_post", torch.zeros(31)))
    with pytest.raises(InterventionError, match="none for layer 1"):
        run(add("resid_post", {0: torch.zeros(32)}, layers=[0, 1]))
    with pytest.raises(InterventionError, match="one for every query"):
        run(graft({0: torch.zeros(2, 32)}, "resid_post", at=-1))
    with pytest.raises(InterventionError, match="states of shape"):
        run(graft({0: torch.zeros(9, 31)}, "resid_post", at=-1))
    with pytest.raises(InterventionError, match="got a pattern of shape"):
        run(replace_pattern(torch.zeros(2, 3), layers=0))
    rows, by_role = [Row(torch.zeros(3, 32), (2,))], zero("resid_post", at="y", prompts=prompts)
    with pytest.raises(InterventionError, match="Give positions instead"):
        list(iter_run(model, [model.bos], rows, ("resid_post",), interventions=[by_role]))
