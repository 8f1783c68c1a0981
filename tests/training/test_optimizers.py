"""Optimisers: against PyTorch's, in a stack, and who gets weight decay."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from training.small_nets import batch_for, batch_of, different, net_and_stack, nets

from iclmech._base import ModelError
from iclmech.training import (
    BatchedMuon,
    Run,
    SmallNet,
    build_optimizers,
    clip_gradients,
    token_loss,
    train_step,
    warmup,
)
from iclmech.training._optimizers import OptimizerName, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
def test_muon_agrees_with_pytorchs(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    mine, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    one = BatchedMuon([mine], lr=0.1, momentum=0.9, weight_decay=0.1)
    two = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        two.step()
    assert (mine - start).norm() > 0.3
    torch.testing.assert_close(mine, theirs, atol=0.03, rtol=0.03)  # PyTorch's works in bfloat16


def test_orthogonalise_brings_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.4


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", get_args(OptimizerName))
def test_a_run_in_a_stack_is_the_run_alone_bit_for_bit(kind: OptimizerName, last: bool) -> None:
    alone, whole = net_and_stack(4)
    start = [{name: p.clone() for name, p in net.named_parameters()} for net in alone]

    def run_of(net: SmallNet) -> Run:
        optimizers = build_optimizers(net, kind, lr=0.05 if kind == "sgd" else 2e-3, weight_decay=0.1)
        return Run(net, optimizers, iter(()), token_loss, warmup(3), clip=0.5)

    together, runs = run_of(whole), [run_of(net) for net in alone]
    for step in range(5):
        batch = batch_of(4, step, last)
        measured = train_step(together, batch)
        each = [train_step(run, batch_for(batch, number)) for number, run in enumerate(runs)]
        assert measured == {name: [one[name] for one in each] for name in ("loss", "accuracy")}
    for number, net in enumerate(alone):
        assert different(net, whole, number) == []
        assert all(not torch.equal(p, start[number][name]) for name, p in net.named_parameters())


def test_each_model_of_a_stack_is_clipped_by_its_own_norm() -> None:
    whole = net_and_stack(3)[1]
    for parameter in whole.parameters():
        parameter.grad = torch.ones_like(parameter) * torch.tensor([1e-6, 1.0, 9.0]).view(
            -1, *[1] * (parameter.ndim - 1)
        )
    small = [p.grad[0].clone() for p in whole.parameters() if p.grad is not None]
    clip_gradients(whole, 0.5, models=3)
    norms = torch.stack([p.grad.flatten(1).norm(dim=1) for p in whole.parameters() if p.grad is not None]).norm(dim=0)
    torch.testing.assert_close(norms[1:], torch.tensor([0.5, 0.5]), atol=1e-5, rtol=1e-5)
    assert all(
        torch.equal(p.grad[0], was) for p, was in zip(whole.parameters(), small, strict=True) if p.grad is not None
    )


@pytest.mark.parametrize("kind", get_args(OptimizerName))
def test_weight_decay_falls_on_the_matrices_of_the_blocks_alone(kind: OptimizerName) -> None:
    net = torch.nn.ModuleDict({"net": nets(1)[0], "encoder": torch.nn.Linear(4, 32)})
    before = {name: p.clone() for name, p in net.named_parameters()}
    optimizers = build_optimizers(net, kind, lr=0.1, lr_muon=0.1, weight_decay=0.2)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    for name, parameter in net.named_parameters():
        factor = 0.98 if "_proj" in name else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor, atol=1e-6, rtol=1e-6)


def test_other_kinds_are_refused() -> None:
    kind: Any = "adagrad"
    with pytest.raises((ModelError, Exception), match="adagrad"):
        build_optimizers(nets(1)[0], kind)
