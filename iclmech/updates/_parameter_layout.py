"""What an update remembers of every parameter that it changes, whatever becomes of the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from iclmech._base import UpdateError
from iclmech.models import Parameter, StorageForm, canonical

KINDS: tuple[str, ...] = ("k", "v", "k_bias", "v_bias")


@dataclass(frozen=True)
class ParameterLayout:
    """What one changed parameter is: its layer (None outside the blocks), its kind, and how the model stores it.

    `form`: as in `iclmech.models.canonical`. `weight_norm` is the Frobenius norm of the parameter before the update.
    The fields are those of a file's header.
    """

    layer: int | None
    kind: str
    form: StorageForm
    n_kv_heads: int
    d_head: int
    weight_norm: float

    @classmethod
    def of(cls, parameter: Parameter) -> ParameterLayout:
        """The layout of a parameter, and its norm as it is now.

        Raises:
            UpdateError: a key or value projection whose tensor does not have the form that the model's backend names.
        """
        tensor = parameter.tensor.detach()
        norm = float(torch.linalg.vector_norm(tensor.to(torch.promote_types(tensor.dtype, torch.float32))))
        if parameter.kind not in KINDS:
            return cls(parameter.layer, "other", "other", 0, 0, norm)
        try:
            by_heads = parameter.canonical(tensor)
        except (RuntimeError, IndexError):
            by_heads = tensor[None, None, None]
        expected = 2 if parameter.kind.endswith("bias") else 3
        if by_heads.ndim != expected or by_heads.shape[0] != parameter.heads:
            raise UpdateError(
                f"{parameter.name} {tuple(tensor.shape)} is not stored as {parameter.form!r} with {parameter.heads} key "
                "heads; this model's key and value projections cannot be read as heads."
            )
        return cls(parameter.layer, parameter.kind, parameter.form, parameter.heads, by_heads.shape[-1], norm)

    def canonical(self, tensor: Tensor) -> Tensor:
        """`tensor` (as stored) as `[kv_head, d_model, d_head]` or `[kv_head, d_head]`; kind "other" stays as it is."""
        return canonical(tensor, self.form, self.n_kv_heads)

    def as_dict(self) -> dict[str, Any]:
        """For a file header."""
        return asdict(self)
