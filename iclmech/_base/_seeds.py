"""Seeded generators: each purpose has its own stream, and nothing touches a global state."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def _mix(seed: int, purpose: str) -> int:
    digest = hashlib.sha256(f"{int(seed)}\x1f{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1  # 63 bits: torch takes a signed seed


def rng(seed: int, purpose: str) -> torch.Generator:
    """A CPU `torch.Generator` that depends on nothing but (seed, purpose)."""
    import torch

    return torch.Generator().manual_seed(_mix(seed, purpose))


def np_rng(seed: int, purpose: str) -> np.random.Generator:
    """A `numpy.random.Generator` that depends on nothing but (seed, purpose)."""
    import numpy as np

    return np.random.default_rng(_mix(seed, purpose))
