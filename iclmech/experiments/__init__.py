"""Experiments: protocols that turn a model and a task into a labelled result."""

from __future__ import annotations

from ._published import published as published
