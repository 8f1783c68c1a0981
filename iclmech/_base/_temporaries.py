"""Names of temporary files: they say which process made them, so that those of dead processes can be cleared."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from functools import cache
from pathlib import Path

_SUFFIX = ".tmp"
_PATTERN = re.compile(r"^\..*\.(?P<host>\w+)-(?P<pid>\d+)-[0-9a-f]{8}\.tmp$", re.DOTALL)


@cache
def _here() -> str:
    """This machine and its space of process numbers, as a word."""
    try:
        space = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        space = ""
    return f"{re.sub(r'[^A-Za-z0-9]', '', socket.gethostname())[:24]}_{space}"


def temporary_beside(path: Path) -> Path:
    """A free name in the directory of `path` that carries this machine and this process."""
    name = path.name.encode()[:100].decode(errors="ignore")
    return path.parent / f".{name}.{_here()}-{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"


def clear_temporaries(directory: Path, elsewhere: bool = False) -> int:
    """Remove what processes of this machine left in a directory when they died; those of living ones stay.

    Args:
        directory: where.
        elsewhere: those of other machines as well, whose processes cannot be asked: for a directory that is ours.

    Returns:
        How many were removed.
    """
    removed = 0
    for entry in os.scandir(directory) if directory.is_dir() else ():
        found = _PATTERN.match(entry.name)
        if found is None or (_lives(int(found["pid"])) if found["host"] == _here() else not elsewhere):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
        removed += 1
    return removed


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True
