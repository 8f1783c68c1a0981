"""What comparisons, settings and variants are called in figures and in the report."""

from __future__ import annotations

from ._text import plain

_UPDATES = {"gd": "GD", "lcgd": "LCGD"}
_LONG = {"gd": "gradient descent (GD)", "lcgd": "layer-causal GD (LCGD)"}
_CONTROLS = {
    "random_update": "random weight change",
    "random_direction": "random direction",
    "shuffled_labels": "shuffled labels",
    "wrong_task": "another task",
    "unrelated_text": "unrelated text",
    "reordered": "reordered",
}
_MEASURES = {
    "sim_aou": ("SimAOU", "cosine"),
    "sim_am": ("SimAM", "cosine"),
    "accuracy": ("accuracy", "share of queries"),
    "induction": ("induction strength", "attention"),
    "prefix_matching": ("prefix matching", "attention"),
}


def update_name(update: str) -> str:
    """Short: GD, LCGD, or the name as it is."""
    return _UPDATES.get(update) or plain(update)


def update_title(update: str) -> str:
    """Long: "gradient descent (GD)"."""
    return _LONG.get(update) or plain(update)


def control_name(control: str) -> str:
    """A control in words."""
    return _CONTROLS.get(control) or plain(control.replace("_", " "))


def comparison_name(comparison: str, variant: str = "trained") -> str:
    """`gd:random_update` → "GD, random weight change"; `icl:reordered` → "ICL, reordered (ceiling)"."""
    update, _, control = comparison.partition(":")
    if comparison == "icl:reordered":
        name = "ICL, reordered (ceiling)"
    elif update == "random_direction":
        name = control_name(update)
    else:
        name = update_name(update) + (f", {control_name(control)}" if control else "")
    return name if variant == "trained" else f"{name}, {plain(variant)} model"


def setting_name(setting: str) -> str:
    """`zs` → "zero-shot", `ft:gd` → "after GD", `icl:shuffled_labels` → "ICL, shuffled labels"."""
    head, _, rest = setting.partition(":")
    if head == "ft":
        update, _, control = rest.partition(":")
        return f"after {update_name(update)}" + (f", {control_name(control)}" if control else "")
    name = {"zs": "zero-shot", "icl": "in context (ICL)"}.get(head) or plain(head)
    return f"{'ICL' if head == 'icl' else name}, {control_name(rest)}" if rest else name


def measure_name(measure: str) -> str:
    """`sim_aou` → "SimAOU"."""
    return _MEASURES[measure][0] if measure in _MEASURES else plain(measure.replace("_", " "))


def measure_unit(measure: str) -> str:
    """What the axis counts: "cosine", "share of queries"; empty where it is not known."""
    return _MEASURES[measure][1] if measure in _MEASURES else ""


def measure_label(measure: str) -> str:
    """For an axis: "SimAOU (cosine)"."""
    unit = measure_unit(measure)
    return f"{measure_name(measure)} ({unit})" if unit else measure_name(measure)
