"""Vectors that stand in for the context: what they are, how they are made, which heads write them."""

from __future__ import annotations

from ._vector import Vector as Vector, VectorError as VectorError
