from __future__ import annotations

import pytest
import reference
import torch
from torch import nn

from iclmech._base import UpdateError
from iclmech.models import Parameter
from iclmech.updates import ParameterLayout


@pytest.mark.parametrize("family", reference.FAMILIES)
def test_canonical_equals_the_models_own_split(family, tiny_model, tiny_hf):
    model, plain = tiny_model(family), tiny_hf(family)
    for parameter in model.parameters("attn_kv"):
        layout = ParameterLayout.of(parameter)
        expected = reference.canonical(
            plain, parameter.kind, reference.parameter_of(plain, parameter.layer, parameter.kind).detach()
        )
        assert torch.equal(layout.canonical(parameter.tensor), expected)
        assert layout.weight_norm == pytest.approx(float(expected.norm()), rel=1e-6)


FORMS = [((4, 6, 2), "head_in_out"), ((8, 6), "out_in"), ((6, 8), "in_out"), ((4, 2), "head_out"), ((8,), "out")]


@pytest.mark.parametrize(("shape", "form"), FORMS)
def test_every_form_of_storage_is_read_by_heads(shape, form):
    """Entry (head, input, output) of the canonical view is where the form's own indices say."""
    bias = form in ("head_out", "out")
    parameter = Parameter("w", 0, "k_bias" if bias else "k", nn.Parameter(torch.randn(shape)), form, 4)
    layout, stored = ParameterLayout.of(parameter), parameter.tensor.detach()
    assert (layout.form, layout.n_kv_heads, layout.d_head) == (form, 4, 2)
    found = layout.canonical(stored)
    assert torch.equal(found, parameter.canonical(stored))
    assert found.shape == ((4, 2) if bias else (4, 6, 2))
    where = {
        "head_in_out": lambda h, i, o: stored[h, i, o],
        "out_in": lambda h, i, o: stored[2 * h + o, i],
        "in_out": lambda h, i, o: stored[i, 2 * h + o],
        "head_out": lambda h, i, o: stored[h, o],
        "out": lambda h, i, o: stored[2 * h + o],
    }[form]
    for h in range(4):
        for o in range(2):
            for i in range(1 if bias else 6):
                assert found[(h, o) if bias else (h, i, o)] == where(h, i, o)


def test_canonical_is_a_view():
    """Writing to the canonical view writes to the parameter."""
    tensor = torch.zeros(8, 8)
    for form in ("out_in", "in_out"):
        ParameterLayout(0, "k", form, 4, 2, 0.0).canonical(tensor)[1, 3, 1] += 1
    assert (float(tensor[3, 3]), float(tensor.sum())) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("shape", "form"), [((9, 8), "out_in"), ((8,), "in_out"), ((8, 8), "head_in_out"), ((8, 8), "other")]
)
def test_a_projection_of_another_form_is_refused(shape, form):
    with pytest.raises(UpdateError, match="cannot be read as heads"):
        ParameterLayout.of(Parameter("w", 0, "k", nn.Parameter(torch.randn(shape)), form, 4))


def test_headers_of_files_keep_their_fields():
    layout = ParameterLayout.of(Parameter("w", 2, "v", nn.Parameter(torch.ones(8, 6)), "out_in", 4))
    header = {"layer": 2, "kind": "v", "form": "out_in", "n_kv_heads": 4, "d_head": 2, "weight_norm": 48**0.5}
    assert layout.as_dict() == pytest.approx(header)
