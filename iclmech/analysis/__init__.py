"""Analysis: pure functions from activations to numbers (`metrics`), and what to make of the numbers (`statistics`)."""

from __future__ import annotations

from . import circuit as circuit, metrics as metrics, statistics as statistics
from ._plane import shift_plane as shift_plane
from ._states import AnalysisError as AnalysisError
