"""Where in a prompt states are recorded: one token of every query, several, the tokens of a role, or their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from iclmech._base import CaptureError
from iclmech.interventions import ROLE_NAMES, RoleTable
from iclmech.tasks import Context, Query

Named = str | Callable[[Query, Context], int]
Position = Named | Sequence[Named]
DEMONSTRATION_POSITIONS = ("forerunners", "labels")
_MEAN = "mean:"
_ONE = {"s_q": "prediction", "y_q": "label"}  # roles of a single token
_IN_QUERY = tuple(name for name in ROLE_NAMES if name.endswith("_q") or name == "query")


@dataclass(frozen=True)
class Places:
    """A checked `position`.

    `names`: what it consists of. `axis`: whether states have an axis "position". `mean`: whether that axis is averaged away.
    `of_demonstrations`: whether the tokens stand before the query.
    """

    names: tuple[Named, ...]
    axis: bool
    mean: bool
    of_demonstrations: bool

    @classmethod
    def checked(cls, position: Any) -> Places:
        """Raises `CaptureError` for a position that does not exist, or several on both sides of the query's beginning."""
        several = isinstance(position, Sequence) and not isinstance(position, str)
        names: list[Any] = list(position) if several else [position]
        mean = isinstance(position, str) and position.startswith(_MEAN)
        if mean:
            names = [str(position).removeprefix(_MEAN)]
        known = ("prediction", "label", *DEMONSTRATION_POSITIONS, *ROLE_NAMES)
        wrong = [name for name in names if not callable(name) and name not in known]
        if wrong or not names or (mean and names[0] in ("prediction", "label", *_ONE)):
            raise CaptureError(
                f"got position={position!r}; expected 'prediction', 'label', 'forerunners', 'labels', a role "
                f"({', '.join(ROLE_NAMES)}), 'mean:' and a role of several tokens, a function of (query, context), or "
                "several of these."
            )
        names = [_ONE.get(name, name) if isinstance(name, str) else name for name in names]
        sides = {not callable(name) and name not in ("prediction", "label", *_IN_QUERY) for name in names}
        if len(sides) > 1:
            raise CaptureError(
                f"got position={position!r}; expected places in the query or in the demonstrations, not both."
            )
        if {"bos", "context"} & {name for name in names if isinstance(name, str)}:
            raise CaptureError(f"got position={position!r}; BOS is not recorded. Name the roles that you want.")
        single = not several and (callable(names[0]) or names[0] in ("prediction", "label"))
        return cls(tuple(names), not single and not mean, mean, sides.pop())

    @property
    def labelled(self) -> bool:
        """Whether the first token of the first label word is put behind every query."""
        return "label" in self.names

    def of_query(self, query: Query, context: Context) -> list[int]:
        """Own indices of a query's tokens that are recorded. Raises `CaptureError` where a role has none."""
        found: list[int] = []
        for name in self.names:
            if callable(name):
                found.append(name(query, context))
            elif name in ("prediction", "label"):
                found.append(len(query.tokens) - (name == "prediction"))
            else:
                found += _some(RoleTable.of_query(query), name, f"the query {query.text!r}")
        return found

    def of_context(self, context: Context) -> list[int]:
        """Indices, BOS left out, of a context's tokens that are recorded. Raises `CaptureError` where a role has none."""
        found: list[int] = []
        for name in self.names:
            if name in DEMONSTRATION_POSITIONS:
                shift = 1 if name == "labels" else 2
                found += [d.context_start + d.label_span[0] - 1 - shift for d in context.demonstrations]
            else:
                table = RoleTable.of_context(context)
                found += [at - 1 for at in _some(table, str(name), "a context")]
        return found

    def __str__(self) -> str:
        names = [name if isinstance(name, str) else getattr(name, "__name__", "function") for name in self.names]
        return (_MEAN if self.mean else "") + "+".join(names)


def _some(table: RoleTable, role: str, where: str) -> list[int]:
    found = torch.nonzero(table.select(role))[:, 0].tolist()
    if not found:
        raise CaptureError(f"{where} has no token of the role {role!r}. Choose another position.")
    return found
