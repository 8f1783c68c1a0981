"""How in-context learning forms: worlds, many small nets trained in one stack, clamps in training, snapshots as models.

world (knobs) ──► sequences ──► stack of nets (clamped or not) ──► history ──► transitions, figures
                                                                      └──► snapshot ──► every analysis of the library
"""

from __future__ import annotations

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for."""
    return _load(name)
