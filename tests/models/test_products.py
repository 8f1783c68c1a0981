"""The quicker product of plain twins, on every processor: what it must give does not depend on where it pays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from iclmech.models import _products, twin_of

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


def test_graphs_and_other_types_take_the_usual_way(quick, monkeypatch):
    monkeypatch.setattr(_products, "_product", lambda *args: pytest.fail("oneDNN was asked"))
    x = torch.randn(3, 24, requires_grad=True)
    quick(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad[0], x.grad[1])
    quick.double()(torch.randn(3, 24, dtype=torch.float64))


def test_is_asked_without_a_graph(quick, monkeypatch):
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
