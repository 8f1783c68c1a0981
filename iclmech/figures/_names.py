"""What comparisons, settings, measures and updates are called in figures: their records' titles, fit for a plotly label."""

from __future__ import annotations

from iclmech._base import REGISTRIES, Measure
from iclmech.experiments import (
    Entry,
    Roster,
    comparison_title,
    setting_title,
    update_short,
    update_title as _update_title,
)

from ._text import plain


def _registered() -> Roster:
    return Roster.of(list(REGISTRIES["update"]), list(REGISTRIES["control"]), ("trained",))


def update_name(update: str) -> str:
    """Short: GD, LCGD, or the name as it is."""
    return plain(update_short(update))


def update_title(update: str) -> str:
    """Long: "gradient descent (GD)"."""
    return plain(_update_title(update))


def comparison_name(comparison: str, variant: str = "trained", roster: Roster | None = None) -> str:
    """`gd:random_update` → "GD, random weight change"; `roster`: of the result, where it has updates of one's own."""
    entry = (roster or _registered()).comparisons.get(comparison) or Entry(comparison)
    name = plain(comparison_title(entry))
    return name if variant == "trained" else f"{name}, {plain(variant)} model"


def setting_name(setting: str, roster: Roster | None = None) -> str:
    """`zs` → "zero-shot", `ft:gd` → "after GD", `icl:shuffled_labels` → "ICL, shuffled labels"."""
    return plain(setting_title(setting_entry(setting, roster)))


def setting_entry(setting: str, roster: Roster | None = None) -> Entry:
    """The record of a setting; of an update that is not registered, its name stands for it."""
    known = (roster or _registered()).settings
    own = setting.removeprefix("ft:")
    return known.get(setting) or (Entry(setting, own, tuned=True) if own != setting else Entry(setting))


def _record(measure: str) -> Measure | None:
    return REGISTRIES["measure"].get(measure)


def measure_name(measure: str) -> str:
    """`sim_aou` → "SimAOU"."""
    record = _record(measure)
    return plain(record.shown if record else measure.replace("_", " "))


def measure_unit(measure: str) -> str:
    """What the axis counts: "cosine", "share of queries"; empty where it is not known."""
    record = _record(measure)
    return plain(record.unit) if record else ""


def measure_label(measure: str) -> str:
    """For an axis: "SimAOU (cosine)"."""
    unit = measure_unit(measure)
    return f"{measure_name(measure)} ({unit})" if unit else measure_name(measure)
