"""What is known of a measure and of an update besides its function: how it is shown, what it can be.

Functions are given as themselves or as "package.module:name", imported when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ._targets import imported


@dataclass(frozen=True)
class Measure:
    """A number per query that experiments report.

    Attributes:
        name: of the variable in results.
        function: (zs, icl, ft) → a number, or an array with the queries first; for `of="setting"` a function of one capture.
            None where the name is known for its title only.
        axes: names of the axes behind the query.
        title: in figures and tables; the name by default.
        unit: what an axis counts.
        range: least and greatest value; None where it is unbounded on that side.
        of: what it is a measure of.
        along: for measures of a shift, the function of (zs, icl, direction) that stands in where only a direction is given.
        site: where that direction lives.
    """

    name: str
    function: Callable[..., Any] | str | None = None
    axes: tuple[str, ...] = ()
    title: str = ""
    unit: str = ""
    range: tuple[float | int | None, float | int | None] = (None, None)
    of: Literal["comparison", "setting", "model"] = "comparison"
    along: Callable[..., Any] | str | None = None
    site: str = ""

    def __call__(self, *captures: Any) -> Any:
        """The measure of these captures."""
        if self.function is None:
            raise TypeError(f"{self.name} is a name with a title, not a function.")
        return imported(self.function)(*captures)

    @property
    def shown(self) -> str:
        """The title, or the name in words."""
        return self.title or self.name.replace("_", " ")

    @property
    def bounded(self) -> bool:
        """Whether its range has two ends."""
        return None not in self.range


@dataclass(frozen=True)
class Update:
    """A method that turns demonstrations into a `WeightUpdate`, or into a vector with the same face.

    Attributes:
        name: how `compare(updates=…)` and files call it.
        function: (model, prompts, *, lr, loss, parameters) → `WeightUpdate`.
        title: in headings: "gradient descent (GD)".
        short: in sentences and legends: "GD".
        colour: its colour in every figure; the next free one by default.
        fast: whether it is trained on the plain twin where the model has one.
        options: keyword arguments that make the variant: (("order", "bottom_up"),).
        kind: what it puts in. A "vector" has a strength in the place of a learning rate, 1 unless lr= names it, and controls
            of its own.
    """

    name: str
    function: Callable[..., Any] | str
    title: str = ""
    short: str = ""
    colour: str = ""
    fast: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    kind: Literal["weights", "vector"] = "weights"

    def __call__(self, model: Any, prompts: Any, **arguments: Any) -> Any:
        """The weight update that these demonstrations make."""
        return imported(self.function)(model, prompts, **dict(self.options), **arguments)
