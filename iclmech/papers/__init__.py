"""Papers: what each claims, which experiment asks it, and when the claim holds.

    from iclmech.papers import Paper, PaperClaim

A paper is one file with a `Paper` in it and one line in the table of what is built in; `shen2024.py` is a short one to copy.
From outside the package it is one file that calls `iclmech.register("paper", name, PAPER)`.
"""

from __future__ import annotations

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for."""
    return _load(name)
