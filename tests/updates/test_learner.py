from __future__ import annotations

import pytest
import torch
from torch import nn

from iclmech._base import ModelError, UpdateError
from iclmech.models import Parameter
from iclmech.updates import gradient_descent
from iclmech.updates._learner import Learner, learning


def test_only_the_chosen_parameters_require_gradients_inside(tiny_model):
    model = tiny_model("gpt_neox")
    parameters = model.parameters("attn_v")
    with learning(model, parameters):
        wanted = {id(parameter.tensor) for parameter in parameters}
        for parameter in model.hooked.parameters():
            assert parameter.requires_grad == (id(parameter) in wanted)
    assert all(parameter.tensor.requires_grad for parameter in model.parameters("attn_kv"))


def test_a_parameter_that_the_loss_does_not_see_is_an_error(tiny_model):
    stale = Parameter("stale", 0, "k", nn.Parameter(torch.zeros(8, 8)), "out_in", 4)
    used = nn.Parameter(torch.ones(2))
    with pytest.raises(UpdateError, match="does not depend on stale"):
        Learner(tiny_model("gpt2"), [stale]).gradients(used.sum(), [stale])


def test_steps_are_summed_in_float32(tiny_model):
    parameter = Parameter("w", 0, "k", nn.Parameter(torch.ones(8, 8, dtype=torch.bfloat16)), "out_in", 4)
    learner = Learner(tiny_model("gpt2"), [parameter])
    for _ in range(64):  # each alone is lost in bfloat16, whose next number after 1 is 1.0078
        learner.step({"w": torch.full((8, 8), -1.0, dtype=torch.bfloat16)}, 1e-3)
    assert float(learner.deltas["w"][0, 0]) == pytest.approx(0.064, rel=1e-4)
    assert float(parameter.tensor.detach()[0, 0]) == pytest.approx(1.064, abs=0.004)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_trained_weights_are_rounded_once_from_the_sum(dtype, tiny_model):
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(8, 8, generator=draw).to(dtype)
    parameter = Parameter("w", 0, "k", nn.Parameter(start.clone()), "out_in", 4)
    learner, total = Learner(tiny_model("gpt2"), [parameter]), torch.zeros(8, 8)
    differ = 0
    for _ in range(20):
        gradient = torch.randn(8, 8, generator=draw)
        learner.step({"w": gradient}, 0.01)
        total -= 0.01 * gradient
        found = parameter.tensor.detach()
        assert torch.equal(found, (start.float() + learner.deltas["w"]).to(dtype))
        differ += int((found != start + learner.deltas["w"].to(dtype)).sum())
    torch.testing.assert_close(learner.deltas["w"], total)
    assert differ > 0


def test_a_choice_of_nothing_is_an_error(tiny_model, context):
    with pytest.raises((ModelError, UpdateError), match="no parameter"):
        gradient_descent(tiny_model("gpt2"), context, lr=0.1, parameters=lambda name, layer: False)
