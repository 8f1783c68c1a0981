"""Capture: prompts through the model, the demonstrations encoded once, states kept at one position of each query."""

from __future__ import annotations

from iclmech._base import SITES as SITES

from ._activations import Activations as Activations
from ._capture import capture as capture
from ._layout import Position as Position, Setting as Setting
from ._run import Chunk as Chunk, Row as Row, iter_run as iter_run
