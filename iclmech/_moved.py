"""Modules that have moved: their old names work for one release, with a warning that names the new one.

An old name stands in `sys.modules` as a stand-in that hands every attribute on. It is no attribute of its package, so that
`iclmech.capture` stays the function.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings

MOVED = {"iclmech.capture": "iclmech.captures"}
"""Old name → new name."""


class _StandIn(types.ModuleType):
    """An old module name; every attribute is that of the new module."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        old = self.__name__
        warnings.warn(
            f"{old} is now {MOVED[old]}; {old}.{name} goes with the next release.", DeprecationWarning, stacklevel=2
        )
        return getattr(importlib.import_module(MOVED[old]), name)


for _old in MOVED:
    sys.modules.setdefault(_old, _StandIn(_old))
