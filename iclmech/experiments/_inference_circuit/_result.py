"""The result of `inference_circuit`: labelled arrays, verdicts, one file."""

from __future__ import annotations

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import FileError, atomic_write, from_ascii_json, to_ascii_json
from iclmech.analysis.circuit import head_table

from ._plan import CircuitError
from ._states import HEAD_MEASURES, LAYER_MEASURES
from ._verdict import verdict_table

if TYPE_CHECKING:
    import pandas as pd

_KIND, _SCHEMA = "iclmech circuit", 1


class Circuit:
    """Which steps of the inference circuit a model takes on a task.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (..., bound) is the interval of `m`, a bootstrap over demonstration sets and queries.
            *Settings*: accuracy, label_nll (setting: zs, icl, icl:shuffled_labels), accuracy_by_context (setting, seed,
            context), gain (baseline): accuracy of icl beyond it, chance: accuracy of the best constant answer.
            *Cuts*: cut_accuracy, lost (accuracy of icl minus it), nll_added, edges_cut, mass_cut (edge, arm: cut, random,
            mass; the last two per destination, layer and head), excess, nll_excess (edge, control): what the cut costs
            beyond a control, cut_accuracy_by_context (edge, arm, seed, context).
            *Windows*: window_first, window_last (edge), both included; held_out_excess, held_out_nll_excess (edge, window).
            *States* (variant, layer): centroid (nearest-centroid accuracy of s_q), purity_query, purity_demonstrations
            (share of nearest neighbours of the same class), reference_alignment, merge_alignment (y at layer l + 1 with s at
            layer l), assigned_residual, and _share, _excess (over gold_share).
            *Heads* (variant, layer, head): copy, induction, induction_strength, correct_induction, assigned_attention and
            assigned_qk with _share and _excess, mass (..., role).
            *Baselines*: gold_share (share of the right label among the demonstrations), majority_vote, purity_*_chance.
            `m_held_out` is the same on the held-out prompts: choose a layer or a head there, read it here.
    """

    def __init__(self, data: xr.Dataset):
        self.data = data

    @classmethod
    def of(cls, data: xr.Dataset, provenance: dict[str, Any]) -> Circuit:
        """A result with its provenance."""
        return cls(data.assign_attrs(provenance=to_ascii_json(provenance)))

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, model, task, settings, seeds and notes: where the numbers come from."""
        return from_ascii_json(self.data.attrs["provenance"])

    @property
    def notes(self) -> list[str]:
        """What happened on the way that a reader should know."""
        return list(self.provenance.get("notes", []))

    def summary(self) -> pd.DataFrame:
        """One row per setting, then one per kind of edge and arm.

        Columns: `name`, `arm` ("" for settings), `layers`, `accuracy`, `low`, `high`, `lost` (accuracy of ICL minus it),
        `lost_low`, `lost_high`, `excess` (what the cut costs beyond this control), `excess_low`, `excess_high`, `edges_cut`
        and `mass_cut` (per destination, layer and head).
        """
        import pandas as pd

        d = self.data
        rows: list[dict[str, Any]] = []
        for setting in (str(s) for s in d["setting"].values):
            lost = {} if setting == "icl" else _numbers(d, "gain", "lost", baseline=setting)
            rows.append({"name": setting, "arm": "", **_numbers(d, "accuracy", "accuracy", setting=setting), **lost})
        for edge in (str(e) for e in d["edge"].values):
            layers = f"{int(d['window_first'].sel(edge=edge))}-{int(d['window_last'].sel(edge=edge))}"
            for arm in (str(a) for a in d["arm"].values):
                row = {"name": edge, "arm": arm, "layers": layers}
                row |= _numbers(d, "cut_accuracy", "accuracy", edge=edge, arm=arm)
                row |= _numbers(d, "lost", "lost", edge=edge, arm=arm)
                row |= _numbers(d, "excess", "excess", edge=edge, control=arm) if arm != "cut" else {}
                row |= {n: float(d[n].sel(edge=edge, arm=arm)) for n in ("edges_cut", "mass_cut")}
                rows.append(row)
        bounds = ("accuracy", "low", "high", "lost", "lost_low", "lost_high", "excess", "excess_low", "excess_high")
        return pd.DataFrame(rows, columns=["name", "arm", "layers", *bounds, "edges_cut", "mass_cut"])

    def verdict(self) -> pd.DataFrame:
        """Which steps hold. Columns: `step`, `edges`, `verdict`, `reason`, `evidence`; the last rows are whole steps.

        "holds": the cut costs accuracy, and more than either control does; "not specific": a control costs as much; "no
        effect": it costs nothing that the interval tells from zero, or the model learns nothing in context here.
        """
        return verdict_table(self.data)

    def heads(self, sort_by: str = "correct_induction", variant: str = "trained") -> pd.DataFrame:
        """A row for every head, the largest of a measure on top; `forerunner_head` where copy exceeds 5 / T."""
        d = self.data.sel(variant=variant)
        tensors = {n: _tensor(d[n].values) for n in HEAD_MEASURES if n in d}
        tensors |= {f"mass_{role}": _tensor(d["mass"].sel(role=role).values) for role in d["role"].values}
        if sort_by not in tensors:
            raise CircuitError(f"got sort_by={sort_by!r}; expected one of {', '.join(tensors)}.")
        table = head_table(tensors, sort_by)
        if "copy" in table:
            table["forerunner_head"] = table["copy"] > 5 / float(self.data.attrs["n_tokens"])
        return table

    def layers(self, variant: str = "trained") -> pd.DataFrame:
        """A row for every layer, a column for every measure of states, with the baselines in columns of their own."""
        d = self.data.sel(variant=variant)
        table = d[[n for n in LAYER_MEASURES if n in d]].drop_vars("variant").to_dataframe()
        for name in ("gold_share", "majority_vote", "purity_query_chance", "purity_demonstrations_chance"):
            if name in d:
                table[name] = float(d[name])
        return table.reset_index()

    def save(self, path: str | Path) -> Path:
        """Write one netCDF file, whole or not at all."""
        with atomic_write(path) as temporary:
            self.data.assign_attrs(kind=_KIND, schema=_SCHEMA).to_netcdf(temporary, engine="h5netcdf")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read what `save` wrote. Raises `FileError` for another file, a damaged one, or a newer schema."""
        return cls(load_dataset(path, _KIND, _SCHEMA, "circuit"))

    def __repr__(self) -> str:
        p, verdicts = self.provenance, self.verdict().to_dict("records")
        steps = "; ".join(f"{row['step']}: {row['verdict']}" for row in verdicts if not row["edges"])
        return f"Circuit({p['model']['name']!r} on {p['task']['name']!r}, k={p['k_kept']}: {steps})"

    def _repr_html_(self) -> str:
        tables = (self.verdict(), self.summary().round(3))
        shown = "".join(t.to_html(index=False, na_rep="", border=0) for t in tables)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<div><b>{escape(repr(self))}</b>{shown}<ul>{notes}</ul></div>"


def load_dataset(path: str | Path, kind: str, schema: int, what: str) -> xr.Dataset:
    """A dataset with the given kind and a schema that is known; `FileError` otherwise."""
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; expected a saved {what}.")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            data = opened.load()
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} cannot be read as a saved {what} ({error}); the file is damaged or of another kind."
        ) from error
    if data.attrs.get("kind") != kind:
        raise FileError(f"{path} is a netCDF file, but no saved {what} (kind: {data.attrs.get('kind')!r}).")
    if int(data.attrs["schema"]) > schema:
        raise FileError(
            f"{path} has schema {data.attrs['schema']} of a {what}; this version of iclmech reads up to {schema}. "
            "Update iclmech."
        )
    for key in ("kind", "schema"):
        data.attrs.pop(key)
    return data


def _tensor(values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values))


def _numbers(data: xr.Dataset, variable: str, name: str, **at: str) -> dict[str, float]:
    ci = data[f"{variable}_ci"].sel(at)
    prefix = "" if name == "accuracy" else f"{name}_"
    return {
        name: float(data[variable].sel(at)),
        f"{prefix}low": float(ci.sel(bound="low")),
        f"{prefix}high": float(ci.sel(bound="high")),
    }
