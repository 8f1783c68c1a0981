"""Finished parts of a long run, each in a file of its own, so that a run that was stopped goes on from them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ._errors import FileError
from ._provenance import digest
from ._tensor_file import read_safetensors, write_safetensors

T = TypeVar("T")
_KIND, _SCHEMA = "iclmech cell", 1


class Cells:
    """Parts of a run by name.

    A value consists of numbers, texts, None, arrays, tensors, and lists, tuples and dicts of these. It comes out of `once` as
    it would come out of its file, whether it was made or read: a run that went on from its cells has the bits of one that was
    never stopped.

    Args:
        directory: where they are kept; None: nowhere.

    Example:
        >>> Cells().once("seed 0", lambda: {("gd", 0): 1.5})
        {('gd', 0): 1.5}
    """

    def __init__(self, directory: Path | None = None):
        self.directory = directory

    def once(self, name: str, make: Callable[[], T], parts: str = "") -> T:
        """What is kept under a name; where nothing is, `make()`, which is kept then.

        Args:
            name: of the part.
            make: does the work.
            parts: beginning of the names of smaller parts that are of no use any more once this one is kept.
        """
        path = self._path(name)
        found = self._read(path) if path else None
        if found is not None:
            return found[0]
        tensors: dict[str, Any] = {}
        tree = _packed(make(), tensors)
        if path:
            write_safetensors(path, tensors, _KIND, _SCHEMA, {"name": name, "value": tree})
            if parts:
                self._forget(parts)
        return _unpacked(tree, tensors)

    def _path(self, name: str) -> Path | None:
        """The file of a part; those with one beginning (what stands before " / ") are in one directory."""
        if self.directory is None:
            return None
        group, _, rest = name.rpartition(" / ")
        file = f"{digest(rest)}.safetensors"
        return self.directory / digest(group) / file if group else self.directory / file

    def _read(self, path: Path) -> tuple[Any] | None:
        if not path.is_file():
            return None
        try:
            tensors, _, meta = read_safetensors(path, _KIND, _SCHEMA)
            return (_unpacked(meta["value"], tensors),)
        except (FileError, KeyError, TypeError, ValueError):  # damaged: made again
            return None

    def _forget(self, group: str) -> None:
        if self.directory is not None:
            shutil.rmtree(self.directory / digest(group), ignore_errors=True)


def _packed(value: Any, tensors: dict[str, Any]) -> Any:
    """A value as JSON, its arrays in `tensors`."""
    import numpy as np
    import torch

    def keep(kind: str, tensor: torch.Tensor) -> dict[str, str]:
        tensors[str(len(tensors))] = tensor
        return {kind: str(len(tensors) - 1)}

    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"texts": [list(value.shape), [None if v is None else str(v) for v in value.ravel()]]}
    if isinstance(value, np.ndarray | np.generic):
        whole = torch.from_numpy(np.array(value, order="C"))
        return keep("array" if isinstance(value, np.ndarray) else "scalar", whole)
    if isinstance(value, torch.Tensor):
        return keep("tensor", value.detach().cpu().contiguous().clone())
    if isinstance(value, dict):
        return {"dict": [[_packed(k, tensors), _packed(v, tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_packed(v, tensors) for v in value]}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(
        f"got {type(value).__name__} in a cell; expected numbers, texts, arrays, and lists, tuples and dicts of these."
    )


def _unpacked(value: Any, tensors: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "dict":
        return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in inner}
    if kind in ("list", "tuple"):
        made = [_unpacked(v, tensors) for v in inner]
        return made if kind == "list" else tuple(made)
    if kind == "tensor":
        return tensors[inner]
    if kind == "texts":
        import numpy as np

        return np.array(inner[1], dtype=object).reshape(inner[0])
    array = tensors[inner].numpy()
    return array if kind == "array" else array[()]
