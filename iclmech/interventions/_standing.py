"""Edits that stand in a model for the length of a block: captures make them themselves, every other pass meets them as hooks.

capture, iter_run ──► take the edits as interventions: demonstrations stay encoded once; the hooks step aside
generate          ──► hooks; the prompt's last token is edited in the first pass, whatever is generated behind it
any other pass    ──► hooks; its last token
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from iclmech._base import Guard
from iclmech.models import ICLModel
from iclmech.models._selfcheck import place

from ._errors import InterventionError
from ._pass_layout import Layout
from ._state_edits import EditSite


@dataclass(eq=False)
class _Standing:
    """What stands in one model: edits by name, oldest first, and the handles of their hooks."""

    edits: list[tuple[str, tuple[EditSite, ...]]] = field(default_factory=list)
    handles: list[Any] = field(default_factory=list)
    aside: int = 0
    generating: int = 0


_standing: WeakKeyDictionary[ICLModel, _Standing] = WeakKeyDictionary()


def standing_edits(model: ICLModel) -> tuple[EditSite, ...]:
    """All edits in force, oldest first."""
    found = _standing.get(model)
    return tuple(edit for _, edits in found.edits for edit in edits) if found else ()


def standing_names(model: ICLModel) -> tuple[str, ...]:
    """What they are called, oldest first."""
    found = _standing.get(model)
    return tuple(name for name, _ in found.edits) if found else ()


def standing_handles(model: ICLModel) -> Collection[int]:
    """Identities of the hooks that were placed for them, which are nobody else's."""
    found = _standing.get(model)
    return {id(handle) for handle in found.handles} if found else ()


def hooks_aside(model: ICLModel) -> Guard:
    """Inside, the hooks do nothing: the edits are made by whoever asks for this."""
    found = _standing.get(model)
    return Guard(lambda guard: guard.set(found, "aside", found.aside + 1) if found else None)


def standing(model: ICLModel, edits: Sequence[EditSite], name: str) -> Guard:
    """Keep edits of states in force for the length of a `with` block, in which other threads wait for the model.

    Args:
        edits: made in every capture; their places are roles or positions, which need no prompts here. In passes of other
            kinds -1 is the last token of the prompt; roles have no meaning there, and an edit that goes by them is refused.
        name: what captures call the setting: "zs+<name>".

    Raises:
        InterventionError: a pass that does not say where the tokens are that an edit is for.
    """

    def change(guard: Guard) -> None:
        model.owner.take(guard)
        mine = _standing.setdefault(model, _Standing())
        entry, new = (name, tuple(edits)), []
        layers = range(model.shape.n_layers)
        placed = [(e.site, n, e) for e in edits for n in (layers if e.layers is None else e.layers)]
        specs = [(site, layer, _Raw(model, mine, replace(edit, layers=(layer,)))) for site, layer, edit in placed]
        points = _points(model, placed)
        before = {id(h) for point in points for h in getattr(point, "fwd_hooks", ())}
        guard.undo(partial(_forget, mine, entry, new))
        place(model.backend, specs, guard)
        new += [h for point in points for h in getattr(point, "fwd_hooks", ()) if id(h) not in before]
        _watch_generation(model, mine, guard)
        mine.handles += new
        mine.edits.append(entry)

    return Guard(change)


def _forget(mine: _Standing, entry: tuple[str, tuple[EditSite, ...]], handles: list[Any]) -> None:
    mine.edits = [e for e in mine.edits if e is not entry]
    mine.handles = [h for h in mine.handles if not any(h is n for n in handles)]


def _points(model: ICLModel, placed: Sequence[tuple[str, int, EditSite]]) -> list[Any]:
    return [model.backend.point(site, layer) for site, layer in dict.fromkeys((s, n) for s, n, _ in placed)]


class _Raw:
    """One edit of one layer as a hook, in a pass of which nothing is known but its width."""

    def __init__(self, model: ICLModel, state: _Standing, edit: EditSite):
        self.model, self.state, self.edit = model, state, edit
        self.generation, self.prompt = 0, 0

    def __call__(self, states: Tensor) -> Tensor | None:
        if self.state.aside:
            return None
        rows, width = states.shape[:2]
        if not self.state.generating:
            return self._put(states, rows, width, 0)
        if self.generation != self.state.generating:  # the first pass of this generation: the prompt
            self.generation, self.prompt = self.state.generating, width
            return self._put(states, rows, width, 0)
        if width > self.prompt:  # without a cache the prompt runs again
            return self._put(states, rows, width, width - self.prompt)
        return self._put(states, rows, width, 0) if self.edit.places.everywhere else None

    def _put(self, states: Tensor, rows: int, width: int, behind: int) -> Tensor:
        if self.edit.places.roles:
            raise InterventionError(
                f"an edit in force goes by the roles {self.edit.places.roles}, and this pass does not say which tokens play them. "
                "Use iclmech.capture, or an edit at position -1 or of all tokens."
            )
        layout = Layout(0, (width,) * rows, tuple(range(rows)), (), (), (None,) * rows, answers=(behind,) * rows)
        for change in self.edit.edits(self.model, layout):
            states = change.put(states, (change.rows, change.positions), change.rows)
        return states


def _watch_generation(model: ICLModel, state: _Standing, guard: Guard) -> None:
    """Tell hooks where a generation begins; `generate` is the model's own again outside."""
    hooked = model.hooked
    own = getattr(hooked, "generate", None)
    if own is None or "generate" in vars(hooked):  # none there, or watched already by an edit around this one
        return
    guard.undo(lambda: vars(hooked).pop("generate", None))
    hooked.generate = partial(_generate, own, state)


_count = 0


def _generate(own: Any, state: _Standing, *args: Any, **kwargs: Any) -> Any:
    global _count
    _count += 1
    with Guard() as guard:
        guard.set(state, "generating", _count)
        return own(*args, **kwargs)
