from __future__ import annotations

import pytest
import reference
import torch
from torch import nn

from iclmech._base import UpdateError
from iclmech.models import Parameter
from iclmech.updates._parameter_layout import layout_of


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_canonical_equals_the_models_own_split(family, tiny_model, tiny_hf):
    model, plain = tiny_model(family), tiny_hf(family)
    for parameter in model.parameters("attn_kv"):
        layout = layout_of(parameter)
        expected = reference.canonical(
            plain, parameter.kind, reference.parameter_of(plain, parameter.layer, parameter.kind).detach()
        )
        assert torch.equal(layout.canonical(parameter.tensor), expected)
        assert layout.weight_norm == pytest.approx(float(expected.norm()), rel=1e-6)


@pytest.mark.parametrize(("shape", "transposed", "form"), [((4, 6, 2), False, "head_in_out"), ((8, 6), True, "out_in")])
def test_forms_of_storage(shape, transposed, form):
    parameter = Parameter("w", 0, "k", nn.Parameter(torch.randn(shape)), 4, transposed)
    layout = layout_of(parameter)
    assert layout.form == form
    assert torch.equal(layout.canonical(parameter.tensor), parameter.canonical(parameter.tensor))
    assert layout.canonical(parameter.tensor).shape == (4, 6, 2)


def test_square_weights_are_told_apart():
    """Square, so shapes say nothing: the numbers must."""

    class Conv1D(Parameter):
        def canonical(self, value: torch.Tensor) -> torch.Tensor:
            return value.unflatten(1, (4, 2)).transpose(0, 1)

    weight = nn.Parameter(torch.randn(8, 8))
    assert layout_of(Parameter("w", 0, "k", weight, 4, True)).form == "out_in"
    layout = layout_of(Conv1D("w", 0, "k", weight, 4, True))
    assert layout.form == "in_out"
    assert torch.equal(layout.canonical(weight), weight.unflatten(1, (4, 2)).transpose(0, 1))


def test_unknown_form_is_refused():
    class Odd(Parameter):
        def canonical(self, value: torch.Tensor) -> torch.Tensor:
            return value.flip(0).unflatten(0, (4, 2)).transpose(1, 2)

    with pytest.raises(UpdateError, match="none of the forms"):
        layout_of(Odd("w", 0, "k", nn.Parameter(torch.randn(8, 8)), 4, True))
