"""Which experiments there are, and results by their kind."""

from __future__ import annotations

from pathlib import Path

from iclmech._base import REGISTRIES, Result, load_result


def list_experiments() -> list[str]:
    """Names of the experiments that are known here, those of plug-ins included.

    >>> import iclmech as icl
    >>> "compare" in icl.list_experiments()
    True
    """
    return REGISTRIES["experiment"].names()


def load(path: str | Path) -> Result:
    """Any saved result, as an object of its own kind.

    Args:
        path: the file that `result.save` or the command line wrote, or its directory; or that of a sweep, finished or not.

    Returns:
        A `Comparison`, `Circuit`, …; a plain `Result`, which says what is missing, where the experiment that made it is not
        installed here.

    Raises:
        FileError: no such file, a damaged or foreign one, or a newer schema.
    """
    return load_result(path)
