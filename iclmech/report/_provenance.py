"""Where the numbers come from, and the command that makes them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from iclmech.experiments import CONTROLS

from ._escape import shown

# Options of `iclmech compare` and what they are if nobody says otherwise
_USUAL: dict[str, Any] = {
    "loss": "label", "position": "prediction", "separator": None, "parameters": "attn_kv", "selection": "random", "embeddings": "keep",
    "wrong_task": None, "match_positions": False, "n_boot": 1000,
}  # fmt: skip


def command(origin: Mapping[str, Any]) -> str | None:
    """The command line that repeats a run; None where a part of it exists in Python only (functions, chosen seeds)."""
    plan, model, task = (origin.get(k) or {} for k in ("plan", "model", "task"))
    seeds = list(plan.get("seeds", ()))
    in_python = plan.get("metrics") or plan.get("parameters") == "selector" or plan.get("position") == "function"
    if not plan or not model.get("name") or not task.get("name") or in_python or seeds != list(range(len(seeds))):
        return None
    preset = plan.get("preset")
    words = ["--model", model["name"], "--task", task["name"], "--k", origin.get("k_requested", origin.get("k"))]
    words += [
        "--n-queries",
        plan.get("n_queries"),
        "--updates",
        ",".join(plan.get("updates", ())),
        "--seeds",
        len(seeds),
    ]
    lr = plan.get("lr", "auto")
    if lr != "auto" and not preset:
        grids = list(lr.values())
        if any(g != grids[0] for g in grids):
            return None  # the command line has one grid for all updates
        words += ["--lr", ",".join(f"{rate:g}" for rate in grids[0])]
    words += ["--preset", preset] if preset else []
    controls = list(plan.get("controls", ()))
    if set(controls) != set(CONTROLS):
        words += ["--controls", ",".join(controls) or "none"]
    for name, usual in _USUAL.items():
        value = plan.get(name)
        if value not in (None, usual) and not (preset and name in ("loss", "position", "separator")):
            words += [
                f"--{name.replace('_', '-')}",
                *([] if value is True else [str(value).replace("\n", "\\n").replace("\t", "\\t")]),
            ]
    return " ".join(["iclmech", "compare", *(shlex.quote(shown(w)) for w in words), "--out", "runs/again"])


def rows(origin: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The provenance flattened into (name, value) texts."""
    found: list[tuple[str, str]] = []
    for key, value in origin.items():
        name = f"{prefix}{shown(key)}"
        if isinstance(value, Mapping):
            found += rows(value, f"{name}.")
        elif key not in ("notes", "deviations"):
            text = shown(value) if not isinstance(value, list) else ", ".join(shown(v) for v in value)
            found.append((name, text if len(text) <= 400 else text[:400] + "…"))
    return found
