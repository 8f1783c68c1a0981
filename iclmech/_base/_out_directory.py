"""Whether a directory can be written to, asked beforehand."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ._errors import FileError


def writable_directory(out: Path) -> Path:
    """A directory that can be written to, made if need be: asked before an hour of work, not after it."""
    try:
        missing = [path for path in (out, *out.parents) if not path.exists()]
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        for path in missing:  # as it was, until there is something to write
            path.rmdir()
    except (OSError, ValueError) as error:
        raise FileError(f"--out {str(out)[:80]!r} cannot be written to: {error}. Name another directory.") from error
    return out
