"""Tensors in safetensors files: a header that says what they are, and a checksum over all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import FileError, ICLMechError
from ._files import atomic_write, from_ascii_json, to_ascii_json
from ._provenance import digest, tensor_digest

if TYPE_CHECKING:
    import torch

_HEADER = "iclmech"
_KEYS = {"kind", "schema", "meta"}


@contextlib.contextmanager
def understanding(path: str | Path, what: str) -> Iterator[None]:
    """Whatever goes wrong while the content of a file is made sense of is a `FileError` in one line."""
    try:
        yield
    except ICLMechError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} is not {what} that can be used: {error}") from error
    except Exception as error:  # a damaged file may say anything, and make any library raise anything
        raise FileError(
            f"{path} cannot be read as {what} ({brief(error)}); the file is damaged or of another kind."
        ) from error


def brief(error: BaseException) -> str:
    """The first line of an error, with its type where that says more, at most 200 characters."""
    line = (str(error).strip().splitlines() or [""])[0][:200]
    return line if line and not isinstance(error, KeyError) else f"{type(error).__name__} {line}".strip()


def demand(condition: object, text: Callable[[], str] | str) -> None:
    """Raise `ValueError`, which `understanding` turns into a `FileError`, unless a condition holds."""
    if not condition:
        raise ValueError(text if isinstance(text, str) else text())


def write_safetensors(path: str | Path, tensors: Mapping[str, torch.Tensor], kind: str, schema: int, meta: Any) -> None:
    """Write tensors with a header: what they are (`kind`), its schema version, `meta` (JSON), and a checksum.

    Raises:
        FileError: the file cannot be written: a full disk, say.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    header = {"kind": kind, "schema": schema, "meta": meta}
    held = {name: t.detach().to("cpu").contiguous() for name, t in tensors.items()}
    header = from_ascii_json(to_ascii_json(header))
    whole = to_ascii_json({**header, "checksum": _checksum(held, header)})
    with atomic_write(path) as temporary:
        try:
            save_file(held, temporary, metadata={_HEADER: whole})
        except SafetensorError as error:
            raise FileError(f"{path} cannot be written: {brief(error)}. Is the disk full?") from error


def read_safetensors(path: str | Path, kind: str, schema: int) -> tuple[dict[str, torch.Tensor], int, Any]:
    """Read what `write_safetensors` wrote: (tensors, schema version found, meta).

    Raises `FileError` for a missing, foreign or damaged file, another kind, or a schema newer than `schema`. Files of earlier
    versions, which have no checksum, are read without one.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; expected a safetensors file holding a {kind}.")
    with understanding(path, f"a {kind}"):
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_HEADER)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        found = from_ascii_json(text) if text else {}
        demand(isinstance(found, dict), "its header is no mapping")
        if found.get("kind") != kind:
            held = str(found.get("kind") or "tensors without a header")[:60]
            raise FileError(f"{path} holds {held}; expected a {kind}.")
        version: Any = found.get("schema")
        demand(type(version) is int and version >= 1, "its schema is no whole number from 1")
        if version > schema:
            raise FileError(
                f"{path} has schema {version} of {kind}; this version of iclmech reads up to {schema}. Update iclmech."
            )
        check = found.pop("checksum", None)
        demand(set(found) == _KEYS, lambda: f"its header has the entries {sorted(found)}")
        demand(check is None or check == _checksum(tensors, found), "its checksum is that of another content")
    return tensors, version, found["meta"]


def _checksum(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> str:
    parts = [(name, str(t.dtype), list(t.shape), tensor_digest(t)) for name, t in sorted(tensors.items())]
    return digest(to_ascii_json(header), parts)
