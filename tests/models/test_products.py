"""The quicker product of plain twins, on every processor: what it must give does not depend on where it pays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from iclmech.models import Twin, twin_of
from iclmech.models.twin import _onednn as _products

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of PyTorch has no oneDNN to take the products"
)


@pytest.fixture
def quick(monkeypatch):
    """A network with both kinds of linear map, quickened."""
    monkeypatch.setattr(_products, "onednn_is_quicker", lambda: True)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(24, 40), Conv1D(16, 40), nn.Linear(16, 8, bias=False)).requires_grad_(False)
    net[1].bias.normal_()
    _products.quicken(net)
    return net


def by_hand(net, x):
    first, second, third = net
    return ((x @ first.weight.T + first.bias) @ second.weight + second.bias) @ third.weight.T


@pytest.mark.parametrize("shape", [(24,), (1, 24), (3, 5, 24), (0, 24)])
def test_gives_the_product(quick, shape):
    assert type(quick[0]) is _products._Linear
    assert type(quick[1]) is _products._Conv1D
    x = torch.randn(shape, dtype=torch.float64)
    expected = by_hand(quick.double(), x)
    found = quick.float()(x.float())
    assert found.shape == expected.shape
    assert torch.allclose(found.double(), expected, atol=1e-5)


def test_rows_that_lie_apart(quick):
    x = torch.randn(24, 6).T
    assert torch.allclose(quick(x), by_hand(quick, x), atol=1e-5)


@pytest.mark.parametrize("shape", [(24,), (2, 3, 24)])
def test_gives_the_gradient(quick, shape):
    x = torch.randn(shape, requires_grad=True)
    weights = torch.randn(8)
    (found,) = torch.autograd.grad((quick(x).tanh() * weights).sum(), x)
    (expected,) = torch.autograd.grad((by_hand(quick, x).tanh() * weights).sum(), x)
    assert torch.allclose(found, expected, atol=1e-5)


def test_what_it_gives_may_be_changed_in_place(quick):
    """Weight updates are added to the outputs of projections."""
    x, change = torch.randn(2, 3, 24, requires_grad=True), torch.randn(16)
    output = quick[1](quick[0](x))
    output[..., 3:7] += change[3:7]
    (found,) = torch.autograd.grad(output.square().sum(), x)
    other = (x @ quick[0].weight.T + quick[0].bias) @ quick[1].weight + quick[1].bias
    (expected,) = torch.autograd.grad(
        torch.cat([other[..., :3], other[..., 3:7] + change[3:7], other[..., 7:]], -1).square().sum(), x
    )
    assert torch.allclose(found, expected, atol=1e-4)


def test_trained_weights_and_other_types_take_the_usual_way(quick, monkeypatch):
    monkeypatch.setattr(_products, "_product", lambda *args: pytest.fail("oneDNN was asked"))
    quick.requires_grad_(True)
    quick(torch.randn(3, 24)).sum().backward()
    assert all(bool(parameter.grad.abs().sum() > 0) for parameter in quick.parameters())
    quick.requires_grad_(False).double()(torch.randn(3, 24, dtype=torch.float64))


def test_is_asked_otherwise(quick, monkeypatch):
    asked = []
    monkeypatch.setattr(_products, "_product", lambda x, weight, bias: asked.append(weight.shape) or x @ weight.T)
    quick(torch.randn(3, 24))
    assert len(asked) == 3


@pytest.mark.parametrize("pays", [True, False])
def test_twins_take_it_where_it_pays(pays, fresh_model, monkeypatch):
    monkeypatch.setattr(_products, "onednn_is_quicker", lambda: pays)
    twin = twin_of(fresh_model("gpt2"))
    kinds = {type(module) for module in twin.base.modules()}
    assert (_products._Conv1D in kinds) == pays
    assert (Conv1D in kinds) != pays


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "qwen2"])
def test_readout_of_twins(family, fresh_model, monkeypatch):
    """The model's, and its gradient, by either product."""
    for pays in (True, False):
        monkeypatch.setattr(_products, "onednn_is_quicker", lambda pays=pays: pays)
        model = fresh_model(family)
        twin = twin_of(model)
        resid = torch.randn(2, 5, model.shape.d_model, requires_grad=True)
        found, expected = twin.readout(resid), model.readout(resid)
        assert torch.allclose(found, expected, atol=1e-5)
        with torch.no_grad():
            assert torch.allclose(twin.readout(resid), expected, atol=1e-5)
        for parameter in model.hooked.parameters():
            parameter.requires_grad_(False)
        pulled = [torch.autograd.grad(out(resid).tanh().sum(), resid)[0] for out in (twin.readout, model.readout)]
        assert torch.allclose(*pulled, atol=1e-5)


def test_a_readout_that_is_not_the_models_makes_no_twin(fresh_model, monkeypatch):
    monkeypatch.setattr(Twin, "readout", lambda self, resid: 1.01 * self._backend.readout(resid))
    assert "the readout" in twin_of(fresh_model("llama"))
