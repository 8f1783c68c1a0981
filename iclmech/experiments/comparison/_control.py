"""A control of `compare`: one object says how it is made, where it stands, how it is shown, and what rests on it.

place        what `make` gets                          what it returns
"update"     (condition, trial)                        a WeightUpdate in the place of the real one, several, or None
"context"    (condition)                               a PromptSet or an EditedContext in the place of the context, several, or None
"direction"  (condition, zs, icl, ft)                  {measure: values} for a vector in the place of the shift
"model"      (model, request, seed)                    an ICLModel on which everything is done again

Of several, all are run and each number of a query is the mean over them. Layers named in `meta["unreached"]` of an update are
masked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from iclmech._base import REGISTRIES, imported
from iclmech._base._palette import GREY

if TYPE_CHECKING:
    from iclmech.tasks import PromptSet
    from iclmech.updates import WeightUpdate

NULL = "null"
"""What a contrast with the closed-form null stands against."""


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        name: in `controls=`, in files. Of a context it begins with "icl:".
        place: what it stands in for; see the module.
        make: the function, or "package.module:function".
        title: in figures and tables: "random weight change".
        phrase: in sentences, "a random weight change"; empty: the answer does not speak of it.
        essential: no result should stand without it: among "essential", and run on untrained models as well.
        compared: its states are compared with ICL (a context that is not has an accuracy only).
        contrast: a paired difference of every update from it stands in the result.
        rank: where that difference and its sentence stand, in ascending order.
        basic: without beating it a similarity says nothing.
        shows: what a lead over it shows to matter: "the labels".
        needs_task: it needs another task.
        by_name: run only where it is asked for by its name.
        kinds: which kinds of updates it is a control of.
        colour, dash, legend: its line in every figure, and its name there where that is not `title`.
    """

    name: str
    place: Literal["update", "context", "direction", "model"]
    make: Callable[..., Any] | str
    title: str
    phrase: str = ""
    essential: bool = False
    compared: bool = True
    contrast: bool = True
    rank: int = 100
    basic: bool = False
    shows: str = ""
    needs_task: bool = False
    by_name: bool = False
    kinds: tuple[str, ...] = ("weights", "vector")
    colour: str = GREY
    dash: str = "dot"
    legend: str = ""

    def __call__(self, *arguments: Any) -> Any:
        """What the control puts in the place of the real thing."""
        return imported(self.make)(*arguments)

    def suits(self, update: str) -> bool:
        """Whether it is a control of this update."""
        return kind_of(update) in self.kinds

    @property
    def key(self) -> str:
        """The part of the name behind "icl:"."""
        return self.name.removeprefix("icl:")


@dataclass(frozen=True)
class Trial:
    """One update on one demonstration set, as its controls see it.

    Attributes:
        update: its name.
        lr: its learning rate.
        position: where that rate stands on the grid.
        weights: the real update; None where it diverged.
        learn: the same method on other prompts ([PromptSet, …], name of the control) → a `WeightUpdate` each; one that
            diverges is left out with a note.
    """

    update: str
    lr: float
    position: int
    weights: WeightUpdate | None
    learn: Callable[[Sequence[PromptSet], str], list[WeightUpdate]]


@dataclass(frozen=True)
class EditedContext:
    """Prompts that are run under interventions: a context that is no text."""

    prompts: PromptSet
    interventions: tuple[Any, ...]


def kind_of(update: str) -> str:
    """What an update puts in: "weights", also where it is one's own, or "vector"."""
    return getattr(REGISTRIES["update"].get(update), "kind", "weights")


def controls_named(names: Any = None) -> list[Control]:
    """The registered controls, or those of these names, in the order of registration."""
    registry = REGISTRIES["control"]
    return [registry[name] for name in registry if names is None or name in names]
