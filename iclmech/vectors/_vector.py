"""`Vector`: states that can stand in for the context, and how they are put into a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import (
    Guard,
    ICLMechError,
    digest,
    html_table,
    read_safetensors,
    rng,
    tensor_digest,
    understanding,
    write_safetensors,
)
from iclmech.interventions import EditSite, change, standing
from iclmech.models import ICLModel

How = Literal["replace", "add", "keep_norm"]
_KIND, _SCHEMA = "vector", 1


class VectorError(ICLMechError, ValueError):
    """A vector cannot be made, combined or put into a model."""


@dataclass(frozen=True, eq=False, repr=False)
class Vector:
    """One state per layer, and where and how it goes into a pass. A value: nothing changes it, arithmetic makes new ones.

    Attributes:
        values: [layer, d_model], on the CPU.
        site: where it goes: "resid_post", "attn_out", "mlp_out".
        how: with strength s and the state h there: "replace", (1−s)·h + s·v; "add", h + s·v; "keep_norm", h turned towards
            v at its own length: ‖h‖·n(n(h) + s·(1 + max(0, cos(h, −v)))·n(v)), where n(x) = x/‖x‖.
        where: the role of the tokens, "s_q" is the query's last one; None for every token.
        layers: which layer each row of `values` belongs to.
        layer: the one at which it acts; None where none was chosen.
        together: it acts in all its layers at once, unless one is asked for.
        meta: where it comes from (JSON-serialisable).

    Raises:
        VectorError: values that do not fit the layers, or a `how` that there is not.

    Example:
        >>> a = Vector(torch.ones(2, 3), layers=(0, 1), layer=1)
        >>> (a - 2 * a).values.tolist()
        [[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]
        >>> torch.allclose(a.like("random", seed=0).norms, a.norms)
        True
    """

    values: Float[Tensor, "layer d_model"]
    site: str = "resid_post"
    how: How = "replace"
    where: str | None = "s_q"
    layers: tuple[int, ...] = ()
    layer: int | None = None
    together: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self.values.detach().cpu())
        object.__setattr__(self, "layers", tuple(self.layers) or tuple(range(len(self.values))))
        if self.values.ndim != 2 or len(self.layers) != len(self.values) or self.how not in get_args(How):
            raise VectorError(
                f"got values {tuple(self.values.shape)} for {len(self.layers)} layers and how={self.how!r}; expected "
                f"[layer, d_model] with a row for every layer, and one of {', '.join(get_args(How))}."
            )
        if self.layer is not None and self.layer not in self.layers:
            raise VectorError(f"got layer={self.layer}; the vector has layers {_listed(self.layers)}.")

    @property
    def norms(self) -> Float[Tensor, " layer"]:
        """Length in every layer."""
        return self.values.double().norm(dim=-1).to(self.values.dtype)

    @property
    def hash(self) -> str:
        """16 hex digits that depend on all that it does to a model."""
        what = (self.site, self.how, self.where, list(self.layers), self.layer, self.together)
        return digest(what, tensor_digest(self.values))

    # -- in a model -----------------------------------------------------------------------------------------------

    def edits(self, layer: int | None = None, strength: float = 1.0) -> tuple[EditSite, ...]:
        """The interventions that put it into a pass: for `capture(..., interventions=...)` and `capture_variants`.

        Args:
            layer: where; by default the chosen one, or all of them where the vector acts in all together.
            strength: 0 leaves the pass as it is: there is no edit then.

        Raises:
            VectorError: no layer was chosen, or the vector does not have the one asked for.
        """
        layers = self._acting(layer)
        if strength == 0:
            return ()
        rows = {n: self.values[self.layers.index(n)] for n in layers}
        at = -1 if self.where == "s_q" else self.where  # the query's last token needs no table of roles
        return (change(self.site, partial(_CHANGES[self.how], rows, float(strength)), layers=list(layers), at=at),)

    def _acting(self, layer: int | None) -> tuple[int, ...]:
        if layer is not None and layer not in self.layers:
            raise VectorError(f"got layer={layer}; the vector has layers {_listed(self.layers)}.")
        if layer is not None:
            return (layer,)
        if self.together:
            return self.layers
        if self.layer is None:
            raise VectorError(
                "no layer was chosen for this vector; expected one: applied(model, layer=...), or vector.at(layer)."
            )
        return (self.layer,)

    def applied(self, model: ICLModel, layer: int | None = None, strength: float = 1.0) -> Guard:
        """Put the vector into a model for the length of a `with` block.

        `capture` works inside, with the demonstrations encoded once where the tokens meant are the query's; so does
        `model.hooked.generate`: the prompt's last token is edited, tokens that are generated are not (with `where=None` all
        are). Every other pass has its last token edited.

        Args:
            layer, strength: as in `edits`.

        Raises:
            VectorError: as in `edits`, or a model of another width or depth.
        """
        s = model.shape
        if self.values.shape[1] != s.d_model or max(self.layers) >= s.n_layers:
            raise VectorError(
                f"got {model.name} with {s.n_layers} layers of width {s.d_model}; the vector has width {self.values.shape[1]} and "
                f"layers {_listed(self.layers)}. A vector fits the model that it was made on."
            )
        edits = self.edits(layer, strength)
        where = "" if layer is None else f"@{layer}"
        return standing(model, edits, f"vector:{self.hash}{where}×{strength:g}")

    def at(self, layer: int | None) -> Vector:
        """The same vector with another layer chosen."""
        return replace(self, layer=layer)

    # -- arithmetic -----------------------------------------------------------------------------------------------

    def _with(self, values: Tensor, **meta: Any) -> Vector:
        return replace(self, values=values, meta={**meta, "of": self.meta})

    def _same_kind(self, other: Vector) -> None:
        if not isinstance(other, Vector):
            raise VectorError(f"got a {type(other).__name__}; expected a Vector.")
        mine, theirs = (
            {"site": v.site, "how": v.how, "where": v.where, "layers": v.layers, "width": v.values.shape[1]}
            for v in (self, other)
        )
        unlike = [name for name in mine if mine[name] != theirs[name]]
        if unlike:
            name = unlike[0]
            raise VectorError(
                f"got vectors of {name} {mine[name]} and {theirs[name]}; only vectors of one kind can be combined."
            )

    def _combined(self, other: Vector, sign: int) -> Vector:
        self._same_kind(other)
        layer = self.layer if self.layer == other.layer else None
        operation = "sum" if sign > 0 else "difference"
        made = self._with(self.values + sign * other.values, operation=operation, with_=other.meta)
        return replace(made, layer=layer, together=self.together and other.together)

    def __add__(self, other: Vector) -> Vector:
        return self._combined(other, 1)

    def __sub__(self, other: Vector) -> Vector:
        return self._combined(other, -1)

    def __mul__(self, factor: float | int) -> Vector:
        return self._with(self.values * factor, operation="product", factor=float(factor))

    __rmul__ = __mul__

    def __neg__(self) -> Vector:
        return self * -1

    def like(self, kind: Literal["random", "signs"] = "random", seed: int = 0) -> Vector:
        """A vector that has nothing of this one but its length in every layer: the control.

        Args:
            kind: "random", Gaussian; "signs", this vector with the sign of each entry drawn anew, so that what is large in
                a few dimensions stays so.
            seed: of the draw.

        Raises:
            VectorError: another kind.
        """
        if kind not in ("random", "signs"):
            raise VectorError(f"got kind={kind!r}; expected 'random' or 'signs'.")
        noise = torch.randn(self.values.shape, generator=rng(seed, f"vector {kind}"), dtype=torch.float64)
        if kind == "signs":
            values = torch.where(noise < 0, -self.values, self.values)
        else:
            length = self.values.double().norm(dim=-1, keepdim=True)
            values = (noise * (length / noise.norm(dim=-1, keepdim=True))).to(self.values.dtype)
        return self._with(values, operation=kind, seed=seed)

    # -- files ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file; `Vector.load` brings everything back."""
        names = ("site", "how", "where", "layers", "layer", "together", "meta")
        write_safetensors(path, {"values": self.values}, _KIND, _SCHEMA, {name: getattr(self, name) for name in names})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Vector:
        """Read what `save` wrote. Raises `FileError` for another file or a newer schema."""
        tensors, _, about = read_safetensors(path, _KIND, _SCHEMA)
        with understanding(path, "a vector"):
            return cls(tensors["values"], **{**about, "layers": tuple(about["layers"])})

    def _facts(self) -> dict[str, str]:
        where = self.where or "every token"
        chosen = "all together" if self.together else "none chosen" if self.layer is None else str(self.layer)
        return {
            "what": str(self.meta.get("method", self.meta.get("operation", "vector"))),
            "goes into": f"{self.site} of {where}, by {self.how.replace('_', ' ')}",
            "layers": f"{_listed(self.layers)} (acts at: {chosen})",
            "width": str(self.values.shape[1]),
        }

    def __repr__(self) -> str:
        return f"Vector({', '.join(f'{name}: {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return html_table(("", ""), self._facts().items(), title="Vector")


def _listed(layers: Sequence[int]) -> str:
    run = len(layers) > 2 and tuple(layers) == tuple(range(layers[0], layers[-1] + 1))
    return f"{layers[0]}–{layers[-1]}" if run else ", ".join(map(str, layers))


# -- what is done to states [token, d_model] of a layer ---------------------------------------------------------------

Rows = dict[int, Tensor]


def _replace(rows: Rows, strength: float, states: Tensor, layer: int) -> Tensor:
    return (1 - strength) * states + strength * rows[layer].to(states)


def _add(rows: Rows, strength: float, states: Tensor, layer: int) -> Tensor:
    return states + strength * rows[layer].to(states)


def _keep_norm(rows: Rows, strength: float, states: Tensor, layer: int) -> Tensor:
    """Turn every state towards the vector, further where it points away from it; its length stays."""
    v = rows[layer].to(states)
    unit = torch.nn.functional.normalize
    cosine = (unit(states, dim=-1) * unit(v, dim=-1)).sum(-1, keepdim=True)
    turned = unit(states, dim=-1) + strength * (1 + (-cosine).clamp(min=0)) * unit(v, dim=-1)
    return states.norm(dim=-1, keepdim=True) * unit(turned, dim=-1)


_CHANGES = {"replace": _replace, "add": _add, "keep_norm": _keep_norm}
