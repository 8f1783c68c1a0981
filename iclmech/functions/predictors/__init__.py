"""Reference predictors: what an algorithm answers behind every prefix of every prompt, float64 [prompt, prefix].

Prefix n has seen n pairs, 0 … n_examples - 1, and answers `prompts.queries[:, n]`. The names are in __init__.pyi.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
