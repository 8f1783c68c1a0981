"""Matrix products of plain twins: by oneDNN where PyTorch's own library holds back.

PyTorch gives single-precision products to MKL, which uses AVX-512 on Intel's processors only; oneDNN, in the same build of
PyTorch, uses it on all, and is twice as fast on the others. Both sum in single precision, in another order.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.pytorch_utils import Conv1D


class _Linear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class _Conv1D(Conv1D):
    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight.T, self.bias)


_QUICK: dict[type, type] = {nn.Linear: _Linear, Conv1D: _Conv1D}


def quicken(base: nn.Module) -> None:
    """Give the linear maps inside `base` the quicker product, where there is one."""
    if onednn_is_quicker():
        for module in base.modules():
            module.__class__ = _QUICK.get(type(module), type(module))


@functools.cache
def onednn_is_quicker() -> bool:
    """Whether this is a processor with AVX-512 on which MKL makes no use of it."""
    available = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    if not available or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    info = Path("/proc/cpuinfo")
    maker = info.read_text(errors="replace") if info.exists() else platform.processor()
    return "AMD" in maker and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x·weightᵀ + bias by oneDNN; by PyTorch where weights are being trained, and for types and devices oneDNN is not for."""
    trained = torch.is_grad_enabled() and (weight.requires_grad or (bias is not None and bias.requires_grad))
    if trained or not x.dtype == weight.dtype == torch.float32 or x.device.type != "cpu" or not x.numel():
        return nn.functional.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])  # outside of the function, whose outputs must not be views
    graph = torch.is_grad_enabled() and x.requires_grad
    found = _Frozen.apply(rows, weight, bias) if graph else _product(rows, weight, bias)
    return found.view(*x.shape[:-1], weight.shape[0])


class _Frozen(torch.autograd.Function):
    """A product with weights that get no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _product(gradient, weight.T, None), None, None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")
