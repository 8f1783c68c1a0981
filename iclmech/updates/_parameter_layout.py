"""What an update remembers of every parameter that it changes, whatever becomes of the model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

import torch
from torch import Tensor

from iclmech._base import UpdateError, demand
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

    @classmethod
    def of_record(cls, record: Any, tensor: Tensor) -> ParameterLayout:
        """The layout that a file's header names for a weight change. Raises `ValueError` where the two do not agree."""
        names = [f.name for f in fields(cls)]
        demand(
            isinstance(record, dict) and sorted(record) == sorted(names), lambda: f"a layout needs {', '.join(names)}"
        )
        layout = cls(**record)
        whole = (layout.n_kv_heads, layout.d_head, *(() if layout.layer is None else (layout.layer,)))
        demand(all(type(n) is int and n >= 0 for n in whole), "a layout's numbers are whole and not negative")
        norm = layout.weight_norm
        demand(type(norm) in (int, float) and math.isfinite(norm) and norm >= 0, "the norm of a weight is a number")
        known = layout.kind in (*KINDS, "other") and layout.form in get_args(StorageForm)
        demand(known, lambda: f"no layout is of kind {layout.kind!r} and form {layout.form!r}"[:120])
        if layout.kind != "other":
            by_heads = layout.canonical(tensor)
            right = (layout.n_kv_heads, *by_heads.shape[1:-1], layout.d_head)
            bias = layout.kind.endswith("bias")
            demand(tuple(by_heads.shape) == right and by_heads.ndim == (2 if bias else 3), "a delta has another shape")
            demand(layout.layer is not None, "a projection has no layer")
        return layout

    def as_dict(self) -> dict[str, Any]:
        """For a file header."""
        return asdict(self)


def layouts_of(meta: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, ParameterLayout]:
    """The layouts that the header of a file of a weight update names. Raises `ValueError` where it is none."""
    demand(set(meta) == {"model_hash", "layout", "meta"}, "its header lacks model_hash, layout or meta")
    own, layout = meta["meta"], meta["layout"]
    demand(set(layout) == set(tensors), "its layout names other tensors than are there")
    demand(isinstance(meta["model_hash"], str) and isinstance(own, dict), "its meta is no mapping")
    demand(all(type(name) is str for name in own.get("requires", [])), "what it requires are no hashes")
    demand(type(own.get("n_layers", 0)) is int, "its number of layers is none")
    for name, delta in tensors.items():
        wide = delta.dtype in (torch.float32, torch.float64)
        demand(wide and bool(delta.isfinite().all()), lambda name=name: f"{name} holds what is no finite number")
    return {name: ParameterLayout.of_record(spec, tensors[name]) for name, spec in layout.items()}
