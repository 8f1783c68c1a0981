"""Which steps of the circuit hold: sentences that follow from the numbers by fixed rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import Claim, by_interval

from ._request import EDGES

if TYPE_CHECKING:
    import pandas as pd

STEP_OF = {
    "x->s": "1 summarize (demonstrations)",
    "x_q->s_q": "1 summarize (query)",
    "s->y": "2 semantics merge",
    "y->s_q": "3 retrieval and copy",
    "x+s->y": "1-2 from input to label, by any way",
    "y->x_q+s_q": "3 from label to query, by any way",
}
_AROUND = {"x->s": "x+s->y", "s->y": "x+s->y", "y->s_q": "y->x_q+s_q"}
HOLDS, PART, NOT_SPECIFIC, NO_EFFECT = "holds", "holds in part", "not specific", "no effect"
AROUND = "holds, but not through this edge alone"


def learns_in_context(data: xr.Dataset) -> tuple[bool, str]:
    """Whether demonstrations help at all: accuracy above zero-shot and above the best constant answer, by the intervals."""
    gain, low = float(data["gain"].sel(baseline="zs")), float(data["gain_ci"].sel(baseline="zs", bound="low"))
    accuracy = float(data["accuracy"].sel(setting="icl"))
    icl_low, chance = float(data["accuracy_ci"].sel(setting="icl", bound="low")), float(data["chance"])
    text = (
        f"accuracy {accuracy:.3f} with demonstrations (interval from {icl_low:.3f}), {accuracy - gain:.3f} without, "
        f"{chance:.3f} for the best constant answer"
    )
    return low > 0 and icl_low > chance, text


def edge_verdict(data: xr.Dataset, edge: str) -> tuple[str, str]:
    """(verdict, reason) for one kind of edge.

    "holds": the cut costs accuracy, and more than either control (intervals above zero). "not specific": it costs
    accuracy, but a control costs as much. "no effect": the interval of what it costs includes zero, or nothing is learned
    in context in the first place.
    """
    learns, text = learns_in_context(data)
    if not learns:
        return NO_EFFECT, f"no in-context learning to take apart: {text}"
    lost = _with_interval(data["lost"].sel(edge=edge, arm="cut"), data["lost_ci"].sel(edge=edge, arm="cut"))
    window = f"layers {int(data['window_first'].sel(edge=edge))}-{int(data['window_last'].sel(edge=edge))}"
    reason = f"cut in {window}, accuracy falls by {_show(lost)}"
    if not lost[1] > 0:
        around = _AROUND.get(edge)
        if around is not None and around not in data["edge"].values:
            reason += f"; there may be a way around: {around} was not cut (edges=[..., {around!r}])"
        return NO_EFFECT, reason
    specific = True
    for control in (str(c) for c in data["control"].values):
        at = {"edge": edge, "control": control}
        excess = _with_interval(data["excess"].sel(at), data["excess_ci"].sel(at))
        specific &= bool(excess[1] > 0)
        name = "as many random edges" if control == "random" else "edges of the same attention"
        reason += f"; {_show(excess)} more than under {name}"
    mass = data["mass_cut"].sel(edge=edge)
    if float(mass.sel(arm="mass")) < 0.8 * float(mass.sel(arm="cut")):
        reason += (
            f" (there is not that much other attention: {float(mass.sel(arm='mass')):.2f} against "
            f"{float(mass.sel(arm='cut')):.2f})"
        )
    return (HOLDS if specific else NOT_SPECIFIC), reason


def verdict_table(data: xr.Dataset) -> pd.DataFrame:
    """A row for every kind of edge, then one for each of the paper's three steps (of those whose edges were cut)."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    by_step: dict[str, dict[str, str]] = {}
    for edge in (str(e) for e in data["edge"].values):
        verdict, reason = edge_verdict(data, edge)
        step = STEP_OF.get(edge, "further edges")
        rows.append(
            {"step": step, "edges": edge, "verdict": verdict, "reason": reason, "evidence": evidence(data, edge)}
        )
        if edge in EDGES:
            by_step.setdefault(step.split(" (")[0], {})[edge] = verdict
    rows.sort(key=lambda row: row["step"])
    single = {row["edges"]: row["verdict"] for row in rows}
    for step, found in sorted(by_step.items()):
        ways = [_AROUND[e] for e in found if single.get(_AROUND.get(e, "")) == HOLDS]
        whole, reason = _whole(list(found.values())), ""
        if whole in (NO_EFFECT, NOT_SPECIFIC) and ways:
            whole, reason = AROUND, f"cutting {' and '.join(dict.fromkeys(ways))} costs accuracy"
        rows.append({"step": step, "edges": "", "verdict": whole, "reason": reason, "evidence": ""})
    return pd.DataFrame(rows, columns=["step", "edges", "verdict", "reason", "evidence"])


def _whole(found: list[str]) -> str:
    """The verdict on a step from those on its edges."""
    return found[0] if len(set(found)) == 1 else PART if HOLDS in found else NOT_SPECIFIC


def evidence(data: xr.Dataset, edge: str) -> str:
    """What states and attention of the intact model say: values at the layer or head that was best on held-out prompts."""
    measures = {
        "x_q->s_q": [("centroid", "nearest-centroid accuracy at s_q", float(data["chance"]))],
        "x->s": [
            ("purity_demonstrations", "class purity of neighbours at s", _scalar(data, "purity_demonstrations_chance"))
        ],
        "s->y": [("copy", "attention from y to s", float("nan"))],
        "y->s_q": [
            ("correct_induction", "correct induction", 2 * _scalar(data, "gold_share") - 1),
            ("assigned_qk_share", "votes on the right label in W_QK", _scalar(data, "gold_share")),
        ],
    }.get(edge, [])
    return "; ".join(filter(None, (_best(data, *m) for m in measures)))


def _scalar(data: xr.Dataset, name: str) -> float:
    return float(data[name]) if name in data else float("nan")


def _best(data: xr.Dataset, name: str, label: str, chance: float) -> str:
    if name not in data or f"{name}_held_out" not in data or bool(data[f"{name}_held_out"].isnull().all()):
        return ""
    held = data[f"{name}_held_out"]
    where = np.unravel_index(int(np.nanargmax(held.values)), held.shape)
    at: dict[Any, Any] = {dim: int(n) for dim, n in zip(held.dims, where, strict=True)}
    value, ci = (data[n].isel(at).sel(variant="trained") for n in (name, f"{name}_ci"))
    place = ", ".join(f"{dim} {n}" for dim, n in at.items())
    text = f"{label} {_show(_with_interval(value, ci))} ({place}"
    if "untrained" in data["variant"].values:
        text += f"; untrained {float(data[name].isel(at).sel(variant='untrained')):.3f}"
    return text + (f"; even {chance:.3f})" if chance == chance else ")")


def _with_interval(value: xr.DataArray, ci: xr.DataArray) -> tuple[float, float, float]:
    return float(value), float(ci.sel(bound="low")), float(ci.sel(bound="high"))


def _show(found: tuple[float, float, float]) -> str:
    return f"{found[0]:.3f} [{found[1]:.3f}, {found[2]:.3f}]"


def claims_of(data: xr.Dataset) -> list[Claim]:
    """The claims of a circuit run: learning in context, and for every edge what its cut costs beyond random edges."""
    learns, _ = learns_in_context(data)
    gain = _with_interval(data["gain"].sel(baseline="zs"), data["gain_ci"].sel(baseline="zs"))
    rule = "the intervals of the gain and of the accuracy lie above zero and above the best constant answer"
    verdict = "holds" if learns else by_interval(*gain[1:]) if gain[2] < 0 else "not shown"
    found = [Claim("learns in context", *gain, "zero-shot and the best constant answer", rule, verdict)]
    rule = "the cut costs accuracy, and more than as many random edges and than edges of the same attention"
    for edge in (str(e) for e in data["edge"].values):
        at = {"edge": edge, "control": str(data["control"].values[0])}
        excess = _with_interval(data["excess"].sel(at), data["excess_ci"].sel(at))
        word, reason = edge_verdict(data, edge)
        verdict = "holds" if word == HOLDS else "not shown" if learns else "not applicable"
        about = {"edge": edge, "reason": reason, "verdict": word}
        found.append(Claim(f"{edge} carries the answer", *excess, at["control"], rule, verdict, about))
    return found


def answer_of(data: xr.Dataset) -> list[str]:
    """Two sentences: whether there is anything to take apart, and which steps hold."""
    learns, text = learns_in_context(data)
    first = f"The model {'learns' if learns else 'is not shown to learn'} in context here: {text}."
    table = verdict_table(data)
    steps = [
        f"{row['step']}: {row['verdict']}" + (f" ({row['reason']})" if row["reason"] else "")
        for row in table.to_dict("records")
        if not row["edges"]
    ]
    return [first, f"Of the circuit's steps: {'; '.join(steps)}."] if steps else [first]
