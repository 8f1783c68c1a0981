"""The counting experiment, known here and in every worker."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import counting  # noqa: E402, F401


@pytest.fixture(autouse=True)
def known_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are other processes: they find the plug-in, and this checkout, by the environment."""
    paths = [str(HERE), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("ICLMECH_PLUGINS", "counting")
