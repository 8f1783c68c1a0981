"""Matrix products of plain twins: by oneDNN where PyTorch's own library holds back.

PyTorch gives single-precision products to MKL, which uses AVX-512 on Intel's processors only; oneDNN, in the same build of
PyTorch, uses it on all, and is twice as fast on the others. Both sum in single precision, in another order.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


class _Linear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return _product(input, self.weight, self.bias) if _plain(input, self.weight) else super().forward(input)


class _Conv1D(Conv1D):
    def forward(self, x: Tensor) -> Tensor:
        return _product(x, self.weight.T, self.bias) if _plain(x, self.weight) else super().forward(x)


_QUICK: dict[type, type] = {nn.Linear: _Linear, Conv1D: _Conv1D}


def quicken(base: nn.Module) -> None:
    """Give the linear maps inside `base` the quicker product, where there is one. Products that need a graph stay as they are."""
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


def _plain(x: Tensor, weight: Tensor) -> bool:
    graph = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return not graph and x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight, bias, "none", [], "")
