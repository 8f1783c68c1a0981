"""Sizes: an ordinary run takes a slice, `make campaign` (ICLMECH_CAMPAIGN=1) everything."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

CAMPAIGN = bool(os.environ.get("ICLMECH_CAMPAIGN"))


@pytest.fixture(scope="session")
def size() -> Callable[[int, int], int]:
    """`size(slice, whole)`: how much of something this run does."""
    return lambda slice, whole: whole if CAMPAIGN else slice


@pytest.fixture
def sigint() -> Iterator[None]:
    """Python's own handler: a process that was started in the background may ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
