"""Where a result comes from: versions and content hashes, so that two results can be told apart."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

from ._files import to_ascii_json

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
    """The first 16 hex digits of the SHA-256 of the parts: bytes as they are, anything else as ASCII JSON."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes | memoryview) else to_ascii_json(part).encode())
        sha.update(b"\x1e")
    return sha.hexdigest()[:16]
