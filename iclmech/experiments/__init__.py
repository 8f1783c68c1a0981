"""Experiments: a request of plain values in, a labelled result out; the names are in __init__.pyi, imported on first use."""

from __future__ import annotations

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_MOVED = {"CompareConfig": "CompareRequest", "CircuitConfig": "CircuitRequest"}
_REGISTERED = {"CONTROLS": "control", "UPDATES": "update"}


def __getattr__(name: str) -> object:
    """A public name; those of the last release still work, with a warning."""
    if name not in _MOVED and name not in _REGISTERED:
        return _load(name)
    import warnings

    from iclmech._base import REGISTRIES

    new = _MOVED.get(name, f"iclmech._base.REGISTRIES[{_REGISTERED.get(name)!r}]")
    warnings.warn(f"{name} is now {new}; the old name goes with the next release.", DeprecationWarning, stacklevel=2)
    return _load(new) if name in _MOVED else tuple(REGISTRIES[_REGISTERED[name]])
