"""Where the numbers come from, and the command that makes them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ._escape import shown


def command(origin: Mapping[str, Any]) -> str | None:
    """The command line that repeats a run; None where a part of it exists in Python only (own functions, own tasks)."""
    plan, model, task = (origin.get(k) or {} for k in ("plan", "model", "task"))
    if (
        not plan
        or not model.get("name")
        or not task.get("name")
        or plan.get("metrics")
        or plan.get("parameters") == "selector"
    ):
        return None
    if plan.get("position") == "function":
        return None
    words = ["iclmech", "compare", "--model", str(model["name"]), "--task", str(task["name"])]
    words += ["--k", str(origin.get("k_requested", origin.get("k"))), "--n-queries", str(plan.get("n_queries"))]
    words += ["--updates", *map(str, plan.get("updates", ()))]
    seeds = list(plan.get("seeds", ()))
    words += ["--seeds", str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds))]
    words += ["--out", "runs/again"]
    return " ".join(w if w.startswith("-") else shlex.quote(shown(w)) for w in words)


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
