"""Files that are written whole or not at all, and texts that survive every container."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._errors import FileError
from ._temporaries import clear_temporaries, temporary_beside


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
    """Yield a temporary path beside `path`; it takes the name `path` only if the block ends without an exception.

    File and directory are on the disk when this returns: what has its name survives a power cut. What processes that died
    here left behind is cleared.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_temporaries(path.parent)
    temporary = temporary_beside(path)
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(handle).st_mode & 0o777  # as the user's mask has it; some writers put another file in its place
    os.close(handle)
    try:
        yield temporary
        temporary.chmod(mode)
        to_disk(temporary)
        temporary.replace(path)
        to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot be asked this
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
            raise
    finally:
        os.close(handle)
