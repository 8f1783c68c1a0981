"""Vectors that stand in for the context: what they are, how they are made, which heads write them."""

from __future__ import annotations

from ._corrupted import corrupted as corrupted
from ._head_effects import head_effects as head_effects
from ._head_effects_result import HeadEffects as HeadEffects
from ._vector import Vector as Vector, VectorError as VectorError
