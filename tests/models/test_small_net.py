"""A small net that the library trains is a model like any other: the third backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training.small_nets import VOCABULARY, ids_of, net_and_stack, nets

from iclmech._base import ModelError
from iclmech.captures import capture
from iclmech.interventions import cut_edges, replace_pattern, zero
from iclmech.models import ICLModel, load_model, twin_of, weights_view
from iclmech.tasks import Task, build_prompts
from iclmech.training import export_net
from iclmech.updates import gradient_descent, layer_causal_gd

WORDS = ["<bos>", *(f"w{n}" for n in range(VOCABULARY - 1))]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[ICLModel, ICLModel]:
    """The net itself, and what it exports to, behind TransformerBridge."""
    net = nets(1)[0]
    exported = load_model(str(export_net(net, tmp_path_factory.mktemp("net"), words=WORDS)))
    return ICLModel(net, "net", exported.tokenizer), exported


@pytest.fixture(scope="module")
def prompts(pair: tuple[ICLModel, ICLModel]) -> Any:
    rows = [{"text": f"w{n % 6} w{n % 4}", "label": n % 2} for n in range(24)]
    task = Task.from_records(
        rows[:16], rows[16:], template="{text}", label_words=["w8", "w9"], separator=" w7", name="tiny"
    )
    return build_prompts(pair[1], task, k=3, n_queries=8, seed=0)


def test_the_self_check_passes_it(pair: tuple[ICLModel, ICLModel]) -> None:
    mine = pair[0]
    assert (mine.backend.kind, mine.capabilities.scores.source, mine.capabilities.edits) == (
        "SmallNet",
        "hook",
        "pattern",
    )
    assert not mine.capabilities.parallel
    assert not mine.capabilities.cache
    assert isinstance(twin_of(mine), str)  # no twin of transformers stands in for it
    assert mine.shape == pair[1].shape


def test_captures_are_those_of_the_exported_model(pair: tuple[ICLModel, ICLModel], prompts: Any) -> None:
    sites = ("q", "z", "attn_out", "resid_mid", "mlp_out", "resid_post", "attn_scores")
    for changes in ((), (zero("z", layers=1, heads=[0]), cut_edges(prompts, "y->s_q"))):
        one, two = (capture(model, prompts, "icl", sites, interventions=changes) for model in pair)
        for site in sites:
            torch.testing.assert_close(one[site], two[site], atol=2e-5, rtol=1e-4, equal_nan=True)
        torch.testing.assert_close(one.label_scores, two.label_scores, atol=2e-5, rtol=1e-4)


def test_updates_are_those_of_the_exported_model(pair: tuple[ICLModel, ICLModel], prompts: Any) -> None:
    for method in (gradient_descent, layer_causal_gd):
        one, two = (method(model, prompts, lr=0.05) for model in pair)
        for layer in range(2):
            for kind in ("k", "v"):
                mine, theirs = one.delta(layer, kind), two.delta(layer, kind)
                assert mine is not None
                assert theirs is not None
                assert theirs.abs().max() > 1e-5
                torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-3)


def test_weights_and_positions_are_those_of_the_exported_model(pair: tuple[ICLModel, ICLModel]) -> None:
    one, two = (weights_view(model) for model in pair)
    for name in ("W_Q", "W_K", "W_V", "W_O", "W_U", "b_O"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name))
    at = torch.tensor([[0, 3, 4, 5]])
    with torch.no_grad():
        found, expected = (model.forward(torch.tensor([[0, 1, 2, 3]]), positions=at) for model in pair)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_its_parameters_are_each_named_once(pair: tuple[ICLModel, ICLModel]) -> None:
    mine, net = pair[0].parameters("all"), pair[0].hooked
    assert sorted(p.name for p in mine) == sorted(name for name, _ in net.named_parameters())
    assert len({id(p.tensor) for p in mine}) == len(mine)
    assert {p.layer for p in mine if ".layers." not in p.name} == {None}


def test_the_untrained_twin_keeps_embeddings_and_norms(pair: tuple[ICLModel, ICLModel]) -> None:
    net, twin = pair[0].hooked, pair[0].untrained(3).hooked
    for (name, mine), theirs in zip(net.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs) == ("_proj" not in name)
    fresh = pair[0].untrained(3, "fresh").hooked
    assert not torch.equal(fresh.lm_head.weight, net.lm_head.weight)


def test_hooks_of_the_user_act_on_it(pair: tuple[ICLModel, ICLModel]) -> None:
    net = pair[0].hooked
    flat = torch.ones(9, 9).tril() / torch.arange(1, 10)[:, None]
    with torch.no_grad():
        plain = pair[0].forward(ids_of())
        point = net.hook_dict["blocks.1.attn.hook_pattern"]
        point.add_hook(lambda pattern, hook: flat.expand_as(pattern))
        mine = pair[0].forward(ids_of())
        point.remove_hooks()
        assert not torch.allclose(mine, plain, atol=1e-2)
        from iclmech.interventions import placed

        with placed(pair[1], [replace_pattern(flat, layers=1)], ids_of().tolist()):
            torch.testing.assert_close(pair[1].forward(ids_of()), mine, atol=1e-5, rtol=1e-5)


def test_a_stack_is_not_one_model_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unstack"):
        ICLModel(net_and_stack(2)[1])
    with pytest.raises(ModelError, match="a SmallNet"):
        ICLModel(torch.nn.Linear(2, 2))
