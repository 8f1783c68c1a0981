"""Files that are written whole or not at all, and texts that survive every container."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import FileError

if TYPE_CHECKING:
    import torch

_HEADER = "iclmech"


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


def write_safetensors(path: str | Path, tensors: Mapping[str, torch.Tensor], kind: str, schema: int, meta: Any) -> None:
    """Write tensors with a header that names what they are (`kind`), its schema version and `meta` (JSON)."""
    from safetensors.torch import save_file

    header = to_ascii_json({"kind": kind, "schema": schema, "meta": meta})
    with atomic_write(path) as temporary:
        save_file({name: t.detach().contiguous() for name, t in tensors.items()}, temporary, metadata={_HEADER: header})


def read_safetensors(path: str | Path, kind: str, schema: int) -> tuple[dict[str, torch.Tensor], int, Any]:
    """Read what `write_safetensors` wrote: (tensors, schema version found, meta).

    Raises `FileError` for a missing or foreign file, another kind, or a schema newer than `schema`.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; expected a safetensors file holding a {kind}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_HEADER)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"{path} cannot be read as safetensors ({error}); the file is damaged or of another kind."
        ) from error
    found = from_ascii_json(header) if header else {}
    if found.get("kind") != kind:
        raise FileError(f"{path} holds {found.get('kind') or 'tensors without a header'}; expected a {kind}.")
    if found["schema"] > schema:
        raise FileError(
            f"{path} has schema {found['schema']} of {kind}; this version of iclmech reads up to {schema}. Update iclmech."
        )
    return tensors, found["schema"], found["meta"]
