"""The directory of a run: one owner at a time, and files that appear in it together or not at all.

out/
  .lock         who writes here; held by the kernel, so that it ends with its process
  cells/        finished parts of an unfinished run
  .finished/    complete files on their way to their names; whoever comes next moves the rest
  result.nc     summary.csv     config.json
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ._errors import FileError
from ._files import to_disk
from ._result_file import FINISHED, RESULT
from ._temporaries import clear_temporaries, temporary_beside

LOCK, CELLS = ".lock", "cells"


class BusyError(FileError):
    """Another process owns the directory."""


@contextlib.contextmanager
def claimed(directory: str | Path) -> Iterator[Path]:
    """Own a directory for the length of a `with` block; what dead processes left in it is cleared, what they finished stands.

    Raises:
        BusyError: another process owns it. FileError: it cannot be written.
    """
    directory = Path(directory)
    made = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = _locked(directory / LOCK)
    except OSError as error:
        raise FileError(
            f"{directory} cannot be written ({error.strerror or error}); choose another directory for the run."
        ) from error
    try:
        clear_temporaries(directory, elsewhere=True)  # nobody else writes here
        publish_rest(directory)
        yield directory
    finally:
        with contextlib.suppress(PermissionError):  # Windows keeps a file that is open
            (directory / LOCK).unlink(missing_ok=True)
        os.close(handle)
        if made:
            with contextlib.suppress(OSError):  # something was kept in it
                directory.rmdir()


def _locked(path: Path) -> int:
    """A handle that holds the lock file at `path`, with who we are in it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(handle):
            os.close(handle)
            raise BusyError(
                f"{path.parent} is being written by {owner_of(path.parent) or 'another process'}; wait for it, or choose "
                "another directory."
            )
        if _same_file(handle, path):  # else its last owner removed it in between
            os.truncate(handle, 0)
            os.write(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
            return handle
        os.close(handle)


def _lock(handle: int, shared: bool = False) -> bool:
    """Lock a file until its handle is closed; False where another process has it. Always True where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def is_claimed(directory: Path) -> bool:
    """Whether a living process owns a directory."""
    try:
        handle = os.open(directory / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(handle, shared=True)
    finally:
        os.close(handle)


def owner_of(directory: Path) -> str:
    """ "process 12 on host", as the lock says; empty where it says nothing."""
    try:
        said: Any = json.loads((directory / LOCK).read_text())
        return f"process {said['pid']} on {said['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def publish(directory: Path, files: Mapping[str, Callable[[Path], Any]]) -> None:
    """Write files (name → function of a path) into a claimed directory, so that all appear or none.

    All are written aside first. One rename decides: before it there is nothing, after it everything is there for readers,
    and whoever claims the directory next moves what has not reached its name.
    """
    aside = temporary_beside(directory / FINISHED)
    aside.mkdir()
    try:
        for name, write in files.items():
            write(aside / name)
        to_disk(aside)
        aside.rename(directory / FINISHED)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    to_disk(directory)
    publish_rest(directory)


def publish_rest(directory: Path) -> None:
    """Move finished files to their names, the result last."""
    finished = directory / FINISHED
    if not finished.is_dir():
        return
    for path in sorted(finished.iterdir(), key=lambda path: path.name == RESULT):
        if path.is_dir():  # what stands beside a result, such as its snapshots
            shutil.rmtree(directory / path.name, ignore_errors=True)
        path.replace(directory / path.name)
    finished.rmdir()
    to_disk(directory)
