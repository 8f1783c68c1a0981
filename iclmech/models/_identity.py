"""Which weights a name stands for, told without loading them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from iclmech._base import digest

from ._model_source import source_of

_SUFFIXES = (".json", ".safetensors", ".bin", ".gguf", ".model", ".txt")


def model_identity(name: str) -> str:
    """16 hex digits of the files behind a model's name: weights, config and tokenizer.

    A name on the hub stands for the revision that is here, or for itself where none is.

    Raises:
        ModelError: no such model.

    >>> len(model_identity("icl-mini"))
    16
    """
    source = source_of(name)
    home = Path(source.path)
    if not home.is_dir():
        return digest("hub", name, _revision(name))
    if source.gguf:
        return digest("gguf", _content(home / source.gguf))
    files = sorted(path for path in home.iterdir() if path.is_file() and path.suffix in _SUFFIXES)
    return digest("files", [[path.name, _content(path)] for path in files])


def _revision(name: str) -> str:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent.name if isinstance(found, str) else ""


def _content(path: Path) -> str:
    stat = path.stat()
    return _hashed(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _hashed(path: str, size: int, changed: int) -> str:  # size and time: a file that was replaced is read again
    from xxhash import xxh3_128

    seen = xxh3_128()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            seen.update(block)
    return seen.hexdigest()
