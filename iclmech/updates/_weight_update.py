"""A weight change: what it is made of, its arithmetic, and putting it into a model and taking it out again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import (
    Guard,
    UpdateError,
    digest,
    html_table,
    provenance,
    read_safetensors,
    rng,
    tensor_digest,
    understanding,
    write_safetensors,
)
from iclmech.models import ICLModel, Parameter

from ._applying import base_hash, in_force
from ._parameter_layout import KINDS, ParameterLayout, layouts_of

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class WeightUpdate:
    """ΔW of some parameters of one particular model.

    Attributes:
        deltas: parameter name → ΔW, laid out as the model stores that parameter; float32 or float64, on the CPU.
        layout: parameter name → `ParameterLayout`: its layer, its kind, how it is stored, the norm of the weight before.
        model_hash: the hash of the weights that the update belongs to.
        meta: how it came about: method, lr, loss, losses per step, demonstrations' hash, versions. JSON-serialisable.
    """

    deltas: Mapping[str, Tensor]
    layout: Mapping[str, ParameterLayout]
    model_hash: str
    meta: Mapping[str, Any]

    @classmethod
    def from_deltas(
        cls, model: ICLModel, deltas: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None
    ) -> WeightUpdate:
        """A weight change that was made elsewhere, by LoRA or a method of your own, as an update of `model`.

        Args:
            model: the model that it changes, with the updates in force that it was made on.
            deltas: parameter name → ΔW in the shape of that parameter, both as `model.parameters("all")` has them; of any
                floating-point dtype, on any device. They are copied; half precision is stored as float32.
            meta: how it came about, JSON-serialisable; `method` is "custom" unless named here.

        Returns:
            A `WeightUpdate` that can be applied, saved, scaled and compared like one of gradient descent.

        Raises:
            UpdateError: no deltas, a name that the model does not have, another shape, a dtype that is not floating
                point, numbers that are not finite, or a meta that JSON cannot hold.

        Example:
            >>> import torch, iclmech as icl
            >>> model = icl.load_model("icl-mini")
            >>> weight = model.parameters("attn_v")[0]
            >>> a, b = torch.ones(weight.tensor.shape[0], 1), torch.ones(1, weight.tensor.shape[1])
            >>> update = icl.WeightUpdate.from_deltas(model, {weight.name: 0.01 * a @ b}, {"method": "lora", "rank": 1})
            >>> with update.applied(model):
            ...     update.hash in model.applied
            True
        """
        known = {parameter.name: parameter for parameter in model.parameters("all")}
        unknown = sorted(set(deltas) - set(known))
        if unknown or not deltas:
            raise UpdateError(
                f"got deltas of {', '.join(unknown) or 'no parameter'}; the parameters of {model.name} are named like "
                f'{", ".join(list(known)[:4])}: see model.parameters("all").'
            )
        layout = {name: ParameterLayout.of(known[name]) for name in deltas}
        own = {name: _checked(known[name], delta) for name, delta in deltas.items()}
        meta = {"method": "custom", **(meta or {}), **made_on(model)}
        try:
            json.dumps(meta, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UpdateError(
                f"got a meta that JSON cannot hold ({error}); expected text, finite numbers, lists and dictionaries."
            ) from error
        return cls(own, layout, base_hash(model), meta)

    # -- looking at it --------------------------------------------------------------------------------------------

    @cached_property
    def hash(self) -> str:
        """16 hex digits that depend on the weight changes and on the model, not on how they came about."""
        changes = {name: tensor_digest(delta) for name, delta in self.deltas.items()}
        return digest(self.model_hash, list(self.requires), sorted(changes.items()))

    @property
    def requires(self) -> tuple[str, ...]:
        """Hashes of updates that were in force when this one was computed, and must be when it is applied."""
        return tuple(self.meta.get("requires", ()))

    @cached_property
    def n_layers(self) -> int:
        """Layers of the model that the update belongs to."""
        known = [spec.layer + 1 for spec in self.layout.values() if spec.layer is not None]
        return int(self.meta.get("n_layers", max(known, default=0)))

    def delta(
        self, layer: int, kind: str
    ) -> Float[Tensor, "n_kv_heads d_model d_head"] | Float[Tensor, "n_kv_heads d_head"] | None:
        """ΔW of one projection in the canonical shape, or None where that one was not trained (or does not exist).

        Args:
            layer: 0 … n_layers − 1.
            kind: "k" or "v": `[n_kv_heads, d_model, d_head]`; "k_bias" or "v_bias": `[n_kv_heads, d_head]`.

        Raises:
            UpdateError: no such layer or kind.
        """
        if kind not in KINDS:
            raise UpdateError(
                f"got kind={kind!r}; expected one of {', '.join(KINDS)}. Other parameters: update.deltas[name]."
            )
        if not 0 <= layer < self.n_layers:
            raise UpdateError(f"got layer={layer}; this update is of a model with layers 0 … {self.n_layers - 1}.")
        for name, spec in self.layout.items():
            if spec.layer == layer and spec.kind == kind:
                return spec.canonical(self.deltas[name])
        return None

    def norm(self, layer: int | None = None) -> float:
        """Frobenius norm of ΔW: of everything, or of one layer."""
        return math.sqrt(sum(_norm(self.deltas[name]) ** 2 for name in self._names(layer)))

    def relative_norm(self, layer: int | None = None) -> float:
        """‖ΔW‖ / ‖W‖ over the same parameters; NaN where there are none, or where all of W is zero."""
        weight = math.sqrt(sum(self.layout[name].weight_norm ** 2 for name in self._names(layer)))
        return self.norm(layer) / weight if weight else math.nan

    def relative_norms(self) -> dict[str, float]:
        """‖ΔW‖ / ‖W‖ of every trained parameter by name; NaN where W is zero (a fresh bias)."""
        out = {}
        for name, spec in self.layout.items():
            out[name] = _norm(self.deltas[name]) / spec.weight_norm if spec.weight_norm else math.nan
        return out

    def head_norms(self, layer: int, kind: str) -> Float[Tensor, "n_kv_heads"] | None:
        """‖ΔW‖ of every key-value head of one projection, or None as in `delta`."""
        delta = self.delta(layer, kind)
        return None if delta is None else torch.linalg.vector_norm(delta.flatten(1), dim=1)

    def _names(self, layer: int | None) -> list[str]:
        return [name for name, spec in self.layout.items() if layer is None or spec.layer == layer]

    # -- arithmetic -----------------------------------------------------------------------------------------------

    def scaled(self, factor: float | int) -> WeightUpdate:
        """factor · ΔW."""
        if not math.isfinite(factor):
            raise UpdateError(f"got factor={factor}; expected a finite number.")
        deltas = {name: delta * factor for name, delta in self.deltas.items()}
        return replace(self, deltas=deltas, meta={**_origin(self, "scaled"), "factor": float(factor)})

    def __add__(self, other: WeightUpdate) -> WeightUpdate:
        """The sum of two updates of the same model; a parameter that only one of them changes keeps that change."""
        if not isinstance(other, WeightUpdate):
            return NotImplemented
        if (self.model_hash, self.requires) != (other.model_hash, other.requires):
            raise UpdateError(
                f"got updates of models {self.model_hash} and {other.model_hash}; only updates of the same weights add up."
            )
        deltas = dict(self.deltas)
        for name, delta in other.deltas.items():
            deltas[name] = deltas[name] + delta if name in deltas else delta
        meta = {**_origin(self, "sum"), "of": [self.hash, other.hash]}
        return WeightUpdate(deltas, {**self.layout, **other.layout}, self.model_hash, meta)

    def random_like(self, seed: int) -> WeightUpdate:
        """Gaussian noise with the norm of this update, matrix by matrix (each bias counts as one): the random control.

        The same seed gives the same noise for the same parameter, whatever the update.
        """
        deltas = {}
        for name, delta in self.deltas.items():
            noise = torch.randn(delta.shape, generator=rng(seed, f"random update of {name}"), dtype=torch.float64)
            deltas[name] = (noise * (_norm(delta) / _norm(noise))).to(delta.dtype)
        return replace(self, deltas=deltas, meta={**_origin(self, "random"), "like": self.hash, "seed": int(seed)})

    # -- in and out of a model ------------------------------------------------------------------------------------

    def applied(self, model: ICLModel) -> Guard:
        """The model with W + ΔW inside the block; its own weights, bit for bit, on every way out.

        Updates of one model may be nested: they add up, and the inner one is taken out first. `model.applied` lists
        the hashes of those in force. An update that was computed while others were in force needs those in force. The
        thread owns the model inside the block: other threads that want to run or change it wait for the end.

        Returns:
            A guard; `with … as model` binds the model.

        Raises:
            UpdateError: another model, the same update twice, or an update that is missing below this one.
        """
        return in_force(model, self.deltas, own_hash=self.hash, model_hash=self.model_hash, requires=self.requires)

    # -- files ----------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: deltas as stored, and a header with layout, model hash and meta."""
        meta = {
            "model_hash": self.model_hash,
            "layout": {name: spec.as_dict() for name, spec in self.layout.items()},
            "meta": dict(self.meta),
        }
        write_safetensors(path, self.deltas, kind="weight_update", schema=_SCHEMA, meta=meta)

    @classmethod
    def load(cls, path: str | Path) -> WeightUpdate:
        """Read what `save` wrote.

        Raises:
            FileError: no such file, another kind of file, a damaged one, or one written by a newer version.
        """
        tensors, _, meta = read_safetensors(path, kind="weight_update", schema=_SCHEMA)
        with understanding(path, "a weight update"):
            specs = layouts_of(meta, tensors)
            return cls({name: tensors[name] for name in specs}, specs, meta["model_hash"], meta["meta"])

    # -- showing it -----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return (
            f"WeightUpdate({self._title()}, hash={self.hash}, model={self.model_hash}, "
            f"‖ΔW‖={self.norm():.4g}, ‖ΔW‖/‖W‖={self.relative_norm():.3g})"
        )

    def _title(self) -> str:
        meta = self.meta
        known = [f"{key}={meta[key]}" for key in ("lr", "loss", "order", "k", "factor", "seed") if key in meta]
        return " ".join([str(meta.get("method", "update")), *known])

    def _repr_html_(self) -> str:
        """A table by layer: ‖ΔW‖ of keys and values, and ‖ΔW‖/‖W‖ of the layer."""
        rows = []
        for layer in range(self.n_layers):
            norms = [f"{_norm(d):.3g}" if (d := self.delta(layer, kind)) is not None else "–" for kind in KINDS]
            rows.append((layer, *norms, f"{self.relative_norm(layer):.3g}"))
        head = ("layer", "‖ΔW_K‖", "‖ΔW_V‖", "‖Δb_K‖", "‖Δb_V‖", "‖ΔW‖/‖W‖")
        return html_table(head, rows, title=f"WeightUpdate {self._title()} · {self.hash} of model {self.model_hash}")


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))


def _checked(parameter: Parameter, delta: Tensor) -> Tensor:
    """A copy of `delta` on the CPU in at least float32; `UpdateError` unless it may be added to `parameter`."""
    expected = tuple(parameter.tensor.shape)
    if not isinstance(delta, Tensor) or not torch.is_floating_point(delta):
        got = delta.dtype if isinstance(delta, Tensor) else type(delta).__name__
        raise UpdateError(
            f"got a delta of {parameter.name} of dtype {got}; expected a floating-point tensor {expected}."
        )
    if tuple(delta.shape) != expected:
        raise UpdateError(
            f"got a delta of {parameter.name} of shape {tuple(delta.shape)}; expected {expected}, as the model stores it."
        )
    if not bool(delta.isfinite().all()):
        raise UpdateError(f"the delta of {parameter.name} has entries that are not finite; look at what made it.")
    wide = torch.promote_types(delta.dtype, torch.float32)
    return delta.detach().to("cpu", wide, copy=True, memory_format=torch.contiguous_format)


def made_on(model: ICLModel) -> dict[str, Any]:
    """The meta that says on which model, in which state, an update was made."""
    return {
        "n_layers": model.shape.n_layers,
        "requires": list(model.applied),
        "provenance": provenance(model=model.name, dtype=str(model.dtype), device=str(model.device)),
    }


def _origin(update: WeightUpdate, method: str) -> dict[str, Any]:
    """The meta that every update derived from `update` keeps."""
    return {"method": method, "from": update.hash, "n_layers": update.n_layers, "requires": list(update.requires)}
