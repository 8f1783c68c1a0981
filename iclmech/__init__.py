"""iclmech: how do transformers learn in context?

Capture what happens in every layer while a model learns from demonstrations in its prompt, apply the same
demonstrations as weight updates (gradient descent, layer-causal gradient descent), and compare, with controls.
"""

from __future__ import annotations

import lazy_loader

from . import _moved as _moved

__version__ = "0.2.0"

# Names are in __init__.pyi and are imported on first use, so that `import iclmech` stays instant.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__:
        return _load(name)
    raise AttributeError(f"module 'iclmech' has no attribute {name!r}; it has {', '.join(__all__)}")
