"""Files that are written whole or not at all, and texts that survive every container."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._errors import FileError


def to_ascii_json(value: Any) -> str:
    """`value` as JSON in pure ASCII: NUL, lone surrogates and None all survive in netCDF and safetensors."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, default=str)


def from_ascii_json(text: str) -> Any:
    """The inverse of `to_ascii_json`."""
    return json.loads(text)


def refuse_overwrite(path: str | Path, force: bool = False) -> Path:
    """Return `path` if it is free (or `force`); raise `FileError` when something stands there."""
    path = Path(path)
    if path.exists() and not force:
        raise FileError(f"{path} exists already and is kept as it is. Choose another name, or ask to overwrite it.")
    return path


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the name `path` only if the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
