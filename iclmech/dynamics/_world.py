"""What a world is: knobs as plain values, tables drawn from a seed, sequences drawn from a generator.

A world can be written as text, "classes(bursty=0.5, zipf=1.0)", on the command line, in requests and in files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from iclmech._base import digest, resolve
from iclmech.experiments import ExperimentError

from ._net_shape import Net
from ._spelled import read_call, spell_call, with_knobs

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ._labelled_sequences import Sequences

WORLDS: dict[str, str] = {
    "classes": "iclmech.dynamics._classes:Classes",
    "relabelled": "iclmech.dynamics._relabelled:Relabelled",
    "tasks": "iclmech.dynamics._task_world:Tasks",
    "tokens": "iclmech.dynamics._tokens:Tokens",
}
"""The worlds by name."""


@dataclass(frozen=True)
class World:
    """A family of sequences. Subclasses have knobs as fields, plain values all of them."""

    name: ClassVar[str] = ""
    lr: ClassVar[float] = 2e-3
    """Learning rate of AdamW with which the nets of this world were found to learn."""
    ability: ClassVar[str] = "in_context"
    """The test set that shows learning in context."""
    pairs: int = 4
    n_labels: int = 16

    @property
    def net(self) -> Net:
        """The net that is trained on this world unless another one is given."""
        return Net()

    @property
    def item_width(self) -> int | None:
        """Width of the items; None where they are tokens with a learned table."""
        return None

    @property
    def n_items(self) -> int:
        """How many tokens the learned table has; 0 where items are vectors."""
        return 0

    @property
    def test_sets(self) -> tuple[str, ...]:
        """What is evaluated, the training mix first."""
        raise NotImplementedError

    def tables(self, seed: int) -> dict[str, Tensor]:
        """What is fixed in a run: class means, labels, tasks."""
        raise NotImplementedError

    def draw(
        self, tables: Mapping[str, Tensor], n: int, generator: torch.Generator, test_set: str = "train"
    ) -> Sequences:
        """`n` sequences of a test set."""
        raise NotImplementedError

    def words(self, seed: int, each: int = 40, draw: int = 0) -> tuple[Tensor, list[int]]:
        """Items for a task in words, [class, each, width] as the net's encoder takes them, and the label of each class.

        They are of classes (or of a task) that no run was trained on; each draw has others.
        """
        raise NotImplementedError

    @property
    def chance(self) -> dict[str, float]:
        """What guessing gives: any label, or a label of the context.

        >>> import iclmech as icl
        >>> icl.dynamics.Classes(pairs=4, n_labels=16).chance
        {'a label': 0.0625, 'a label of the context': 0.25}
        """
        return {"a label": 1 / self.n_labels, "a label of the context": 1 / self.pairs}

    def check_test_set(self, test_set: str) -> None:
        """Raise `ExperimentError` for a test set that this world does not have."""
        if test_set not in self.test_sets:
            raise ExperimentError(f"got test_set={test_set!r}; {self.spelled} has {', '.join(self.test_sets)}.")

    def require(self, fine: bool, got: str, expected: str) -> None:
        """Raise `ExperimentError` for a knob that stands where it cannot."""
        if not fine:
            raise ExperimentError(f"got {got} for {type(self).__name__}; expected {expected}.")

    @property
    def shape(self) -> tuple[Any, ...]:
        """Worlds of one shape can be trained in one stack."""
        return self.name, self.pairs, self.n_labels, self.item_width, self.n_items, self.test_sets

    @property
    def known(self) -> bool:
        """Whether its text stands for it: a world of one's own has none."""
        return WORLDS.get(self.name, "").endswith(f".{type(self).__module__.rpartition('.')[2]}:{type(self).__name__}")

    @property
    def hash(self) -> str:
        """What a request calls a world of one's own."""
        return digest(type(self).__module__, type(self).__qualname__, self.spelled)

    @property
    def spelled(self) -> str:
        """The world as text; `world_of` reads it."""
        return spell_call(self.name, {f.name: getattr(self, f.name) for f in fields(self)}, type(self)())


def world_of(world: World | str) -> World:
    """A world from its text; a world as it is.

    Raises:
        ExperimentError: an unknown world or knob, or a value that is none.

    >>> world_of("classes(bursty=0.5)").bursty
    0.5
    """
    if isinstance(world, World):
        return world
    name, knobs = read_call(world)
    return with_knobs(world_class(name)(), knobs)


def world_class(name: str | type[World]) -> type[World]:
    """The class of a world, by its name."""
    if isinstance(name, type):
        return name
    if name.lower() not in WORLDS:
        raise ExperimentError(f"got the world {name!r}; expected one of {', '.join(WORLDS)}.")
    return resolve(WORLDS[name.lower()])
