"""Experiments: a request of plain values in, a labelled result out; the names are in __init__.pyi, imported on first use."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
