"""iclmech: how do transformers learn in context? Capture, weight updates, comparison, controls, figures."""

from __future__ import annotations

__version__ = "0.1.0"
