"""What a comparison holds, by name and in a fixed order: comparisons, settings, paired contrasts."""

from __future__ import annotations

from collections.abc import Iterator

from ._plan import Plan


def comparison_names(plan: Plan) -> list[str]:
    """Comparisons in their fixed order; those that were not run stay in the list and are NaN."""
    control = [
        f"{u}:{c}"
        for c in ("random_update", "shuffled_labels", "wrong_task")
        if c in plan.controls
        for u in plan.updates
    ]
    random = ["random_direction"] if "random_direction" in plan.controls else []
    ceiling = ["icl:reordered"] if "icl:reordered" in plan.controls else []
    return [*plan.updates, *random, *control, *ceiling]


def setting_names(plan: Plan) -> list[str]:
    """Settings in their fixed order."""
    contexts = [c for c in plan.controls if c.startswith("icl:")]
    tuned = [f"ft:{name}" for name in comparison_names(plan) if name.split(":")[0] in plan.updates]
    return ["zs", "icl", *contexts, *tuned]


def contrast_pairs(plan: Plan) -> Iterator[tuple[str, tuple[str, str, str], tuple[str, str, str]]]:
    """(name, (part, comparison, variant), (part, comparison, variant)); part: the measure itself, or "null"."""
    names, variants, updates = comparison_names(plan), plan.variants, list(plan.updates)
    for variant in variants:
        where = "" if variant == "trained" else f" ({variant})"
        for other in updates[1:]:
            yield f"{other} - {updates[0]}{where}", ("measure", other, variant), ("measure", updates[0], variant)
    for u in updates:
        if "untrained" in variants:
            yield f"{u}: trained - untrained", ("measure", u, "trained"), ("measure", u, "untrained")
        yield f"{u} - closed-form null", ("measure", u, "trained"), ("null", u, "trained")
        for control in (
            f"{u}:random_update",
            "random_direction",
            f"{u}:shuffled_labels",
            f"{u}:wrong_task",
            "icl:reordered",
        ):
            if control in names:
                yield f"{u} - {control}", ("measure", u, "trained"), ("measure", control, "trained")
