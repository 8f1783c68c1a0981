"""In-context learning of functions: families whose best predictor is known exactly, and predictors to hold a learner against.

The names are in __init__.pyi, imported on first use.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
