"""Where a result comes from: versions and content hashes, so that two results can be told apart."""

from __future__ import annotations

import hashlib
import platform
from typing import TYPE_CHECKING, Any

from ._files import to_ascii_json

if TYPE_CHECKING:
    from torch import Tensor

_PACKAGES = ("iclmech", "transformer-lens", "torch", "transformers", "numpy", "xarray")


def provenance(**more: Any) -> dict[str, Any]:
    """Versions of what computed a result, joined with `more` (seeds, device, dtype, hashes). JSON-serialisable."""
    from importlib import metadata

    versions: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"versions": versions, "python": platform.python_version(), **more}


def digest(*parts: Any) -> str:
    """The first 16 hex digits of the SHA-256 of the parts, each as ASCII JSON."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(to_ascii_json(part).encode())
        sha.update(b"\x1e")
    return sha.hexdigest()[:16]


def tensor_digest(tensor: Tensor) -> str:
    """32 hex digits that depend on a tensor's type, shape and every bit in it, at the speed of reading it (XXH3)."""
    import torch
    from xxhash import xxh3_128

    data = tensor.detach().cpu().contiguous()
    seen = xxh3_128(f"{data.dtype} {list(data.shape)} ".encode())
    raw: Any = data.reshape(-1).view(torch.uint8).numpy()
    seen.update(raw)
    return seen.hexdigest()
