"""How a backend stores a key or value projection, and the same numbers in the canonical shape."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import Parameter

Kind = Literal["k", "v", "k_bias", "v_bias", "other"]
Form = Literal["head_in_out", "out_in", "in_out", "head_out", "out", "other"]

KINDS: tuple[str, ...] = ("k", "v", "k_bias", "v_bias")


@dataclass(frozen=True)
class ParameterLayout:
    """What one trained parameter is: its layer (None outside the blocks), its kind, and how it is stored.

    `form`: "head_in_out" `[kv_head, d_model, d_head]`, "out_in" `[kv_head·d_head, d_model]`, "in_out"
    `[d_model, kv_head·d_head]`, "head_out" `[kv_head, d_head]`, "out" `[kv_head·d_head]`, or "other".
    `weight_norm` is the Frobenius norm of the parameter before the update.
    """

    layer: int | None
    kind: str
    form: Form
    n_kv_heads: int
    d_head: int
    weight_norm: float

    def canonical(self, tensor: Tensor) -> Tensor:
        """`tensor` (as stored) as `[kv_head, d_model, d_head]` or `[kv_head, d_head]`; kind "other" stays as it is."""
        heads = (self.n_kv_heads, self.d_head)
        if self.form == "out_in":
            return tensor.unflatten(0, heads).transpose(1, 2)
        if self.form == "in_out":
            return tensor.unflatten(1, heads).transpose(0, 1)
        if self.form == "out":
            return tensor.unflatten(0, heads)
        return tensor

    def as_dict(self) -> dict[str, Any]:
        """For a file header."""
        return asdict(self)


def layout_of(parameter: Parameter) -> ParameterLayout:
    """Find the form in which `parameter` is stored by sending element numbers through its own `canonical`.

    Raises `UpdateError` when the parameter's canonical view is none of the known forms.
    """
    tensor = parameter.tensor.detach()
    norm = float(torch.linalg.vector_norm(tensor.to(torch.promote_types(tensor.dtype, torch.float32))))
    if parameter.kind not in KINDS:
        return ParameterLayout(parameter.layer, "other", "other", 0, 0, norm)
    numbers = torch.arange(tensor.numel()).reshape(tensor.shape)
    expected = parameter.canonical(numbers)
    n_kv_heads, d_head = expected.shape[0], expected.shape[-1]
    forms: tuple[Form, ...] = (
        ("head_out", "out") if parameter.kind.endswith("bias") else ("head_in_out", "out_in", "in_out")
    )
    for form in forms:
        layout = ParameterLayout(parameter.layer, parameter.kind, form, n_kv_heads, d_head, norm)
        if _gives(layout, numbers, expected):
            return layout
    raise UpdateError(
        f"{parameter.name} {tuple(tensor.shape)} is stored in none of the forms {', '.join(forms)}; "
        "this model's key and value projections cannot be read as heads."
    )


def _gives(layout: ParameterLayout, numbers: Tensor, expected: Tensor) -> bool:
    n_dims = {"head_in_out": 3, "out_in": 2, "in_out": 2, "head_out": 2, "out": 1}[layout.form]
    width = layout.n_kv_heads * layout.d_head
    folded = {"out_in": 0, "in_out": 1, "out": 0}.get(layout.form)
    if numbers.ndim != n_dims or (folded is not None and numbers.shape[folded] != width):
        return False
    return torch.equal(layout.canonical(numbers), expected)
