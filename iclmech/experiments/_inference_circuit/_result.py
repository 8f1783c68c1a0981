"""The result of `inference_circuit`: labelled arrays, verdicts, one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import Claim, Result
from iclmech.analysis.circuit import head_table

from ._plan import CircuitError
from ._states import HEAD_MEASURES, LAYER_MEASURES
from ._verdict import answer_of, claims_of, verdict_table

if TYPE_CHECKING:
    import pandas as pd


class Circuit(Result):
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

    kind = "circuit"

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
        effect": it costs nothing that the interval tells from zero, or the model learns nothing in context here; of a whole
        step, "holds, but not through this edge alone": only the wider cut that leaves no way around costs accuracy.
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

    def tables(self) -> dict[str, pd.DataFrame]:
        """Which steps hold."""
        return {"Which steps hold": self.verdict()}

    def judged(self) -> list[Claim]:
        """ "learns in context", then what each cut costs beyond its controls."""
        return claims_of(self.data)

    def answer(self) -> list[str]:
        """Whether the model learns in context here, and which steps hold."""
        return answer_of(self.data)

    def __repr__(self) -> str:
        p, verdicts = self.provenance, self.verdict().to_dict("records")
        steps = "; ".join(f"{row['step']}: {row['verdict']}" for row in verdicts if not row["edges"])
        return f"Circuit({p['model']['name']!r} on {p['task']['name']!r}, k={p['k_kept']}: {steps})"


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
