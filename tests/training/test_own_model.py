"""A model of one's own through the trainer: against a plain loop over the same transformers model, resumed to the bit."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
from training.small_nets import CONFIG, VOCABULARY, batch_for, batch_of, llama, nets
from transformers import LlamaForCausalLM

import iclmech as icl
from iclmech._base import ModelError
from iclmech.interventions import Layout, specs_of, zero
from iclmech.training import OwnModel, Run, TokenBatch, build_optimizers, resume, save_run, token_loss, train


@pytest.fixture
def plain() -> LlamaForCausalLM:
    (net,) = nets(1, replace(CONFIG, d_mlp=48))
    return llama(net, net.state_dict())


def batches(n: int, start: int = 0) -> Iterator[TokenBatch]:
    return (batch_for(batch_of(1, step, last=step % 2 == 1), 0) for step in range(start, start + n))


def run_of(module: OwnModel, source: Any) -> Run:
    return Run(module, build_optimizers(module, "adamw", lr=5e-3), source, token_loss, name="mine")


def test_a_bridge_is_trained_as_its_transformers_model_would_be_in_a_plain_loop(plain: LlamaForCausalLM) -> None:
    other = copy.deepcopy(plain)
    model = icl.ICLModel(plain, "mine", reference.make_tokenizer())
    before = model.hash()
    train(run_of(OwnModel(model), batches(4)))
    optimizer = torch.optim.AdamW(other.parameters(), lr=5e-3, betas=(0.9, 0.98), weight_decay=0.0)
    for batch in batches(4):
        logits = other(batch.rows).logits
        logits = logits[:, -1] if batch.at is None else logits.flatten(0, 1)[batch.at]
        each = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
        loss = each.mean() if batch.weights is None else (each * batch.weights).sum() / batch.weights.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.hash() != before
    ids = torch.arange(VOCABULARY)[None]
    with torch.no_grad():
        assert (model.forward(ids) - other(ids).logits).abs().max() < 1e-4


def test_it_goes_on_where_it_was_left_to_the_bit(plain: LlamaForCausalLM, tmp_path: Path) -> None:
    first, second = (icl.ICLModel(copy.deepcopy(plain), "mine", reference.make_tokenizer()) for _ in range(2))
    train(run_of(OwnModel(first), batches(5)))
    half = run_of(OwnModel(second), batches(3))
    train(half)
    path = save_run(half, tmp_path / "state.pt")
    third = icl.ICLModel(copy.deepcopy(plain), "mine", reference.make_tokenizer())
    train(resume(run_of(OwnModel(third), batches(5)), path))
    assert third.hash() == first.hash() != second.hash()


def test_a_head_that_is_cut_out_while_it_trains_gets_no_gradient(plain: LlamaForCausalLM) -> None:
    model = icl.ICLModel(plain, "mine", reference.make_tokenizer())
    module = OwnModel(model)
    batch = next(batches(1))
    n, length = batch.rows.shape
    layout = Layout(0, (length,) * n, tuple(range(n)), (), tuple(map(tuple, batch.rows.tolist())), (None,) * n)
    with model.hooks(specs_of(model, layout, [zero("z", layers=0, heads=[1])])):
        token_loss(module, batch)["loss"].backward()
    values = dict(module.named_parameters())["blocks/0/attn/v/weight"].grad
    assert values is not None
    width = values.shape[0] // 2
    assert values[width:].abs().max() == 0 < values[:width].abs().max()


def test_weights_that_were_folded_are_refused() -> None:
    model = icl.load_model("icl-mini")
    model.backend.processed = lambda: "it was folded"  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="it was folded"):
        OwnModel(model)
