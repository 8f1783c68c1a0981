"""The small net is a Llama, alone and in a stack, whoever watches it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from training.small_nets import CONFIG, LENGTH, ROWS, VOCABULARY, different, ids_of, llama, net_and_stack, nets

from iclmech._base import ModelError
from iclmech.training import NetConfig, SmallNet, stack, unstack
from iclmech.training._export import net_weights


@pytest.mark.parametrize("d_mlp", [(0, 48), 48, (40, 24), 0])
def test_the_net_is_a_llama_in_logits_and_gradients(d_mlp: int | tuple[int, ...]) -> None:
    net = nets(1, dataclasses.replace(CONFIG, d_mlp=d_mlp))[0]
    plain, ids = llama(net, net_weights(net)), ids_of()
    expected, got = plain(ids).logits, net.logits(net(ids))
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    for logits in (expected, got):
        torch.log_softmax(logits, -1)[..., 3].mean().backward()
    theirs = dict(plain.named_parameters())
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0
        like = theirs[name].grad[tuple(slice(n) for n in parameter.shape)]
        torch.testing.assert_close(parameter.grad, like, atol=1e-6, rtol=1e-4)


def test_long_rows_of_the_default_shape_are_a_llamas() -> None:
    config = NetConfig(init_std=0.2, n_layers=2)
    net = SmallNet(config, 50, torch.Generator().manual_seed(0))
    ids = torch.randint(0, 50, (2, 300), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = llama(net, net.state_dict())(ids).logits, net.logits(net(ids))
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, atol=2e-4, rtol=1e-4)


def test_embeddings_and_position_ids_go_in_as_into_a_llama() -> None:
    net = nets(1)[0]
    rows = torch.randn(3, 7, 32, generator=torch.Generator().manual_seed(2))
    at = torch.tensor([[0, 1, 2, 9, 10, 11, 12]]).expand(3, -1)
    mask = torch.ones(3, 7, dtype=torch.long)
    with torch.no_grad():
        plain = llama(net, net_weights(net))
        got = net.logits(net(rows, at))
        torch.testing.assert_close(got, plain(inputs_embeds=rows, position_ids=at, attention_mask=mask).logits)
        assert not torch.allclose(got, net.logits(net(rows)), atol=1e-3)


def test_the_last_position_alone_is_the_last_of_all() -> None:
    alone, whole = net_and_stack(3)
    with torch.no_grad():
        for net, ids in ((alone[0], ids_of()), (whole, ids_of(3)), (whole, ids_of())):
            torch.testing.assert_close(net(ids, last=True), net(ids)[..., -1, :], atol=1e-5, rtol=1e-5)
        positions = torch.arange(LENGTH).expand(ROWS, -1) + 5
        for net in (alone[0], whole):
            got, all_of_it = net(ids_of(), positions, last=True), net(ids_of(), positions)
            torch.testing.assert_close(got, all_of_it[..., -1, :], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_net_in_a_stack_equals_the_net_alone_bit_for_bit(last: bool, shared: bool) -> None:
    alone, whole = net_and_stack(5)
    ids = ids_of() if shared else ids_of(5)
    together = whole.logits(whole(ids, last=last))
    (together**2).sum((1, 2) if last else (1, 2, 3)).sum().backward()
    for number, net in enumerate(alone):
        mine = net.logits(net(ids if shared else ids[number], last=last))
        (mine**2).sum().backward()
        assert torch.equal(mine, together[number])
        assert different(net, whole, number, gradients=True) == []


def test_watching_changes_nothing_but_rounding() -> None:
    net = nets(1)[0]
    with torch.no_grad():
        plain = net(ids_of())
        seen: dict[str, torch.Tensor] = {}
        for name, point in net.hook_dict.items():
            point.add_hook(lambda tensor, hook, name=name: seen.__setitem__(name, tensor))
        torch.testing.assert_close(net(ids_of()), plain, atol=1e-5, rtol=1e-5)
    assert set(seen) == set(net.hook_dict)
    pattern = seen["blocks.1.attn.hook_pattern"]
    assert pattern.shape == (ROWS, 2, LENGTH, LENGTH)
    torch.testing.assert_close(pattern.sum(-1), torch.ones(ROWS, 2, LENGTH))
    torch.testing.assert_close(seen["blocks.0.attn.hook_attn_scores"].softmax(-1), seen["blocks.0.attn.hook_pattern"])
    added = seen["blocks.1.hook_attn_out"] + seen["blocks.1.hook_mlp_out"]
    torch.testing.assert_close(seen["blocks.1.hook_resid_pre"] + added, seen["blocks.1.hook_resid_post"])
    assert not seen["blocks.0.hook_mlp_out"].any()  # no MLP there


def test_unstacking_gives_back_what_was_stacked() -> None:
    alone, whole = net_and_stack(3)
    assert all(different(unstack(whole, number), whole, number) == [] for number in range(3))
    assert torch.equal(unstack(alone[1], 0)(ids_of()), alone[1](ids_of()))
    drawn = SmallNet(CONFIG, VOCABULARY, torch.Generator().manual_seed(4), models=2)
    make = torch.Generator().manual_seed(4)
    assert all(different(SmallNet(CONFIG, VOCABULARY, make), drawn, number) == [] for number in range(2))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ModelError, match="even width"):
        SmallNet(NetConfig(d_model=10, n_heads=4), 5)
    with pytest.raises(ModelError, match="one number, or one for each"):
        SmallNet(NetConfig(n_layers=3, d_mlp=(8, 8)), 5)
    with pytest.raises(ModelError, match="n_ctx"):
        nets(1)[0](torch.zeros(1, 65, dtype=torch.long))
    with pytest.raises(ModelError, match="all of one shape"):
        stack([*nets(1), SmallNet(CONFIG, 12)])
    with pytest.raises(ModelError, match="numbered from 0"):
        unstack(net_and_stack(2)[1], 2)
