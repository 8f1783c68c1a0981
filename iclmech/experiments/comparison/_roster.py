"""What a comparison holds, as records in a fixed order: comparisons, settings, paired contrasts.

Names stand in files; what a name means is asked of its record here, never read off its letters. A result is described again
from its axes: the same updates, controls and variants give the same records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import xarray as xr

from ._control import NULL, Control, controls_named


@dataclass(frozen=True)
class Entry:
    """A comparison or a setting: its name in files, the update and the control that it rests on ("" for none)."""

    name: str
    update: str = ""
    control: str = ""
    tuned: bool = False  # a setting after an update

    @property
    def by_rate(self) -> bool:
        """Whether its numbers depend on the learning rate."""
        return bool(self.update)


@dataclass(frozen=True)
class Side:
    """One side of a contrast: a comparison on a variant, or (null) the closed-form null of that comparison."""

    entry: Entry
    variant: str = "trained"
    null: bool = False

    @property
    def comparison(self) -> str:
        """Name of the comparison."""
        return self.entry.name


@dataclass(frozen=True)
class Contrast:
    """A paired difference, left minus right, of an update from a control or from another update."""

    name: str
    left: Side
    right: Side
    update: str
    control: str = ""  # "null" for the closed form
    other: str = ""  # the other update

    @property
    def variant(self) -> str:
        """Which variants it is about, for a table."""
        return (
            self.left.variant
            if self.left.variant == self.right.variant
            else f"{self.left.variant}, {self.right.variant}"
        )


@dataclass(frozen=True)
class Roster:
    """Everything that stands in a comparison of these updates with these controls."""

    updates: tuple[str, ...]
    controls: tuple[Control, ...]
    variants: tuple[str, ...]

    @classmethod
    def of(cls, updates: Sequence[str], controls: Sequence[str], variants: Sequence[str]) -> Roster:
        """From names."""
        return cls(tuple(updates), tuple(controls_named(controls)), tuple(variants))

    @classmethod
    def of_data(cls, data: xr.Dataset) -> Roster:
        """From the axes of a saved comparison: the controls that could stand in it, whether they were run or not."""
        axes = {
            name: [str(v) for v in data[name].values] if name in data.coords else [] for name in ("update", "variant")
        }
        return cls(tuple(axes["update"]), tuple(controls_named()), tuple(axes["variant"] or ["trained"]))

    def standing(self, place: str) -> list[Control]:
        """The controls in one place."""
        return [c for c in self.controls if c.place == place]

    @cached_property
    def comparisons(self) -> dict[str, Entry]:
        """By name; those that were not run stay in the list and are NaN."""
        found = [Entry(u, u) for u in self.updates]
        found += [Entry(c.name, "", c.name) for c in self.standing("direction")]
        found += [
            Entry(f"{u}:{c.name}", u, c.name) for c in self.standing("update") for u in self.updates if c.suits(u)
        ]
        found += [Entry(c.name, "", c.name) for c in self.standing("context") if c.compared]
        return {entry.name: entry for entry in found}

    @cached_property
    def settings(self) -> dict[str, Entry]:
        """By name."""
        found = [Entry("zs"), Entry("icl"), *(Entry(c.name, "", c.name) for c in self.standing("context"))]
        found += [Entry(f"ft:{e.name}", e.update, e.control, True) for e in self.comparisons.values() if e.update]
        return {entry.name: entry for entry in found}

    @cached_property
    def contrasts(self) -> dict[str, Contrast]:
        """By name: updates against one another, then each against its controls by their rank."""
        found: list[Contrast] = []
        for variant in self.variants:
            where = "" if variant == "trained" else f" ({variant})"
            for other in self.updates[1:]:
                sides = Side(Entry(other, other), variant), Side(Entry(self.updates[0], self.updates[0]), variant)
                found.append(
                    Contrast(f"{other} - {self.updates[0]}{where}", *sides, update=other, other=self.updates[0])
                )
        for update in self.updates:
            ranked = [(c.rank, self._against(update, c)) for c in self.controls if c.contrast]
            itself = Entry(update, update)
            null = Contrast(f"{update} - closed-form null", Side(itself), Side(itself, null=True), update, NULL)
            ranked.append((NULL_RANK, null))
            found += [c for _, c in sorted(ranked, key=lambda pair: pair[0]) if c is not None]
        return {contrast.name: contrast for contrast in found}

    def _against(self, update: str, control: Control) -> Contrast | None:
        itself = Entry(update, update)
        if control.place == "model":
            if control.name not in self.variants:
                return None
            sides = Side(itself), Side(itself, control.name)
            return Contrast(f"{update}: trained - {control.name}", *sides, update=update, control=control.name)
        name = f"{update}:{control.name}" if control.place == "update" else control.name
        if name not in self.comparisons:
            return None
        return Contrast(f"{update} - {name}", Side(itself), Side(self.comparisons[name]), update, control.name)


NULL_RANK = 10
"""Where the contrast with the closed-form null stands among those with controls."""
