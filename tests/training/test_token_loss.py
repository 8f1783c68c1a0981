"""The loss of tokens, against transformers and by hand, alone and in a stack."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from training.small_nets import LENGTH, batch_for, batch_of, llama, net_and_stack, nets

from iclmech.training import TokenBatch, token_loss
from iclmech.training._export import net_weights


@pytest.mark.parametrize("last", [False, True])
def test_it_is_the_weighted_cross_entropy_of_a_llama(last: bool) -> None:
    net, batch = nets(1)[0], batch_for(batch_of(1, 0, last), 0)
    with torch.no_grad():
        logits = llama(net, net_weights(net))(batch.rows).logits
        found = token_loss(net, batch)
    total = weight = right = scored = 0.0
    for place, target in enumerate(batch.targets.tolist()):
        at = place * LENGTH + LENGTH - 1 if batch.at is None else int(batch.at[place])
        scores = logits[at // LENGTH, at % LENGTH].double()
        w = 1.0 if batch.weights is None else float(batch.weights[place])
        total, weight = total + w * float(-scores.log_softmax(-1)[target]), weight + w
        if batch.scored is None or bool(batch.scored[place]):
            right, scored = right + float(scores.argmax() == target), scored + 1
    assert float(found["loss"]) == pytest.approx(total / weight, abs=1e-5)
    assert float(found["accuracy"]) == pytest.approx(right / scored, abs=1e-6)


@pytest.mark.parametrize("last", [False, True])
def test_a_batch_that_all_models_share_is_the_batch_of_each(last: bool) -> None:
    alone, whole = net_and_stack(3)
    batch = batch_for(batch_of(1, 0, last), 0)
    together = token_loss(whole, batch)
    assert together["loss"].shape == together["accuracy"].shape == (3,)
    for number, net in enumerate(alone):
        assert torch.equal(token_loss(net, batch)["loss"], together["loss"][number])


def test_nothing_scored_is_no_accuracy() -> None:
    batch = batch_for(batch_of(1, 0), 0)
    empty = dataclasses.replace(batch, scored=torch.zeros(48, dtype=torch.bool))
    assert token_loss(nets(1)[0], empty)["accuracy"].isnan()
    assert token_loss(nets(1)[0], TokenBatch(batch.rows, batch.targets, batch.at))["loss"].isfinite()
