"""Experiments: protocols that turn a model and a task into a labelled result."""

from __future__ import annotations

from ._compare import compare as compare
from ._compare_plan import CONTROLS as CONTROLS, UPDATES as UPDATES, CompareError as CompareError
from ._comparison import Comparison as Comparison
from ._published import published as published
