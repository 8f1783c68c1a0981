"""Interventions in training: on one net, on a stack, on some of its models; and the gradients around them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training.small_nets import CONFIG, LENGTH, ROWS, batch_for, batch_of, different, ids_of, llama, net_and_stack, nets

from iclmech._base import ModelError
from iclmech.interventions import add, cut_edges, placed, replace, replace_pattern, scale, zero
from iclmech.models import ICLModel
from iclmech.training import Run, SmallNet, build_optimizers, face_of, intervened, token_loss, train_step
from iclmech.training._export import net_weights

PREVIOUS = torch.eye(LENGTH).roll(1, 1)
PREVIOUS[0] = torch.eye(LENGTH)[0]
CHANGES: dict[str, Any] = {
    "pattern": [replace_pattern(PREVIOUS, layers=0, heads=0)],
    "head": [zero("z", layers=1, heads=[1])],
    "edges": [cut_edges(None, [(5, 1), (8, 2)], layers=1), scale("mlp_out", 0.5, layers=1)],
    "random edges": [cut_edges(None, [(5, 1), (8, 2)], control="random", seed=3)],
    "state": [add("resid_mid", 0.5, layers=0, at=-1), replace("k", 0.1, layers=1, at=3)],
    "absent MLP": [replace("mlp_out", 0.2, layers=0)],
}


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("last", [False, True])
def test_on_a_stack_they_do_what_they_do_to_each_net_bit_for_bit(name: str, last: bool) -> None:
    alone, whole = net_and_stack(4)
    batch = batch_of(4, 0, last)
    with intervened(whole, CHANGES[name], batch.rows):
        together = token_loss(whole, batch)
        together["loss"].sum().backward()
    for number, net in enumerate(alone):
        mine = batch_for(batch, number)
        plain = token_loss(net, mine)["loss"]
        with intervened(net, CHANGES[name], mine.rows):
            found = token_loss(net, mine)["loss"]
            found.backward()
        assert torch.equal(found, together["loss"][number])
        assert not torch.equal(found, plain)
        assert different(net, whole, number, gradients=True) == []


@pytest.mark.parametrize("last", [False, True])
def test_on_some_models_the_others_are_left_to_themselves_bit_for_bit(last: bool) -> None:
    alone, whole = net_and_stack(6)  # the last without interventions
    at_the_same_site = [replace_pattern(torch.eye(LENGTH), layers=0, heads=0)]
    given = {
        0: CHANGES["pattern"],
        1: CHANGES["edges"],
        2: at_the_same_site,
        3: CHANGES["state"],
        4: CHANGES["pattern"],
    }
    kinds = {"lr": 1e-2, "weight_decay": 0.1}
    runs = [Run(net, build_optimizers(net, **kinds), iter(()), token_loss, clip=0.5) for net in (whole, *alone)]  # type: ignore[arg-type]
    for step in range(3):
        batch = batch_of(6, step, last)
        with intervened(whole, given, batch.rows):
            train_step(runs[0], batch)
        for number, net in enumerate(alone):
            mine = batch_for(batch, number)
            with intervened(net, given.get(number, ()), mine.rows):
                train_step(runs[number + 1], mine)
            assert different(net, whole, number) == []
    assert whole.parts == {}
    assert not any(point._forward_hooks for point in whole.hook_dict.values())


def test_rows_shared_by_all_models_and_rows_of_embeddings_are_understood() -> None:
    alone, whole = net_and_stack(3)
    change = cut_edges(None, [(5, 1)], control="random", seed=1)
    rows = torch.randn(ROWS, LENGTH, 32, generator=torch.Generator().manual_seed(5))
    for shared in (ids_of(), rows):
        for given, members in (([change], (0, 1, 2)), ({1: [change]}, (1,))):
            with intervened(whole, given, shared), torch.no_grad():
                together = whole(shared)
            for number, net in enumerate(alone):
                with intervened(net, [change] if number in members else (), shared), torch.no_grad():
                    assert torch.equal(together[number], net(shared))


def test_they_do_what_they_do_around_an_iclmodel() -> None:
    net, ids = nets(1)[0], ids_of()
    model = ICLModel(net)
    for changes in CHANGES.values():
        with intervened(net, changes, ids), torch.no_grad():
            mine = net.logits(net(ids))
        with placed(model, changes, ids.tolist()), torch.no_grad():
            assert torch.equal(model.forward(ids), mine)


def test_a_clamped_pattern_is_what_plain_pytorch_makes_of_it() -> None:
    net = nets(1)[0]
    plain, ids = llama(net, net_weights(net)), ids_of()
    attention = plain.model.layers[0].self_attn

    def clamped(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
        pattern = output[1].clone()
        pattern[:, 0] = PREVIOUS
        v = module.v_proj(kwargs["hidden_states"]).view(ROWS, LENGTH, 2, -1).transpose(1, 2)
        return module.o_proj((pattern @ v).transpose(1, 2).flatten(2)), pattern

    attention.register_forward_hook(clamped, with_kwargs=True)
    with intervened(net, CHANGES["pattern"], ids):
        mine = net.logits(net(ids))
    torch.testing.assert_close(mine, plain(ids).logits, atol=1e-5, rtol=1e-5)


def head(matrix: torch.nn.Module, number: int) -> torch.Tensor:
    """Rows of a projection's gradient that belong to a head of 16."""
    grad = matrix.weight.grad
    assert isinstance(grad, torch.Tensor)
    return grad[..., 16 * number : 16 * (number + 1), :]


@pytest.mark.parametrize("stacked", [False, True])
def test_no_gradient_reaches_the_queries_and_keys_of_a_clamped_head(stacked: bool) -> None:
    alone, whole = net_and_stack(2)
    net: SmallNet = whole if stacked else alone[0]
    ids = ids_of()
    with intervened(net, CHANGES["pattern"], ids):
        net.logits(net(ids)).log_softmax(-1)[..., 3].sum().backward()
    attention: Any = net.model.layers[0].self_attn  # type: ignore[union-attr]
    assert not head(attention.q_proj, 0).any()
    assert not head(attention.k_proj, 0).any()
    for matrix, number in ((attention.v_proj, 0), (attention.q_proj, 1), (attention.k_proj, 1), (attention.v_proj, 1)):
        assert head(matrix, number).abs().max() > 1e-3


def test_no_gradient_reaches_what_feeds_a_head_that_is_zeroed() -> None:
    net, ids = nets(1)[0], ids_of()
    with intervened(net, CHANGES["head"], ids):
        net.logits(net(ids)).log_softmax(-1)[..., 3].sum().backward()
    attention: Any = net.model.layers[1].self_attn  # type: ignore[union-attr]
    for matrix in (attention.q_proj, attention.k_proj, attention.v_proj):
        assert not head(matrix, 1).any()
        assert head(matrix, 0).any()
    assert not attention.o_proj.weight.grad[:, 16:].any()


def test_gradients_around_a_clamp_are_finite_differences() -> None:
    net, ids = nets(1)[0].double(), ids_of()

    def loss() -> torch.Tensor:
        with intervened(net, [*CHANGES["pattern"], *CHANGES["edges"]], ids):
            return net.logits(net(ids)).log_softmax(-1)[..., 3].mean()

    loss().backward()
    attention: Any = net.model.layers[0].self_attn  # type: ignore[union-attr]
    for matrix, place in ((attention.v_proj, (3, 4)), (attention.q_proj, (20, 5)), (attention.q_proj, (2, 5))):
        values = []
        for change in (1e-5, -2e-5):
            with torch.no_grad():
                matrix.weight[place] += change
                values.append(float(loss()))
        with torch.no_grad():
            matrix.weight[place] += 1e-5
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(matrix.weight.grad[place]), abs=1e-8)


def test_the_face_says_how_attention_is_edited() -> None:
    alone, whole = net_and_stack(2)
    face = face_of(whole)
    assert (face.capabilities.scores.source, face.capabilities.edits) == ("hook", "pattern")
    assert face_of(alone[0]) is face
    assert face.shape.n_heads == CONFIG.n_heads


def test_models_that_are_not_there_are_refused() -> None:
    with pytest.raises(ModelError, match="this stack has 2"), intervened(net_and_stack(2)[1], {2: []}, ids_of()):
        pass
