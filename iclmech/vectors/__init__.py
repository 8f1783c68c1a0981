"""What can stand in for a context: vectors, and the heads whose outputs they are made of."""

from __future__ import annotations

from ._head_effects import head_effects as head_effects
from ._head_effects_result import HeadEffects as HeadEffects
