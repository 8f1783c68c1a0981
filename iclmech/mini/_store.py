"""The shipped artefacts: the model, its snapshots, its training history."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from iclmech._base import ModelError, from_ascii_json

DATA = Path(__file__).parent / "data"
NAME = "icl-mini"


def list_mini_models() -> list[str]:
    """The names that `mini_model_dir` takes: each shipped model, "icl-mini" first, with its snapshots: "icl-mini@step-N"
    by step, and other seeds of its recipe, "fn-linear@seed-N"."""
    found = sorted(file.parent.name for file in DATA.glob("*/model.safetensors"))
    names = sorted(found, key=lambda name: name != NAME)
    return [one for name in names for one in (name, *(f"{name}@{kind}-{n}" for kind, n in _snapshots(name)))]


def _snapshot_folder(name: str) -> Path:
    return DATA / "snapshots" / (name if name != NAME else "")


def _snapshots(name: str) -> list[tuple[str, int]]:
    """("step", N) by step, then ("seed", N)."""
    stems = [file.stem.rpartition("-") for file in _snapshot_folder(name).glob("*.safetensors")]
    return sorted(((kind, int(n)) for kind, _, n in stems), key=lambda one: (one[0] != "step", one[1]))


def mini_model_dir(name: str = NAME) -> Path:
    """A directory in Hugging Face format that holds a shipped model or one of its snapshots.

    A model's own directory is package data. A snapshot is package data in half precision without configuration and
    tokenizer, which are the model's; it is completed, as float32, once in a directory for temporary files that is the
    user's alone; what stands there is compared with the shipped files before it is used.

    Raises:
        ModelError: no such model or snapshot.
    """
    if name not in list_mini_models():
        raise ModelError(f"model {name!r} is not shipped; expected one of {list_mini_models()}.")
    base, _, snapshot = name.partition("@")
    if not snapshot:
        return DATA / base
    from safetensors.torch import load_file, save_file

    weights = _snapshot_folder(base) / f"{snapshot}.safetensors"
    check = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    target = _private_directory() / f"{weights.stem}-{check}"
    if _is_whole(target, DATA / base, weights):
        return target
    making = Path(tempfile.mkdtemp(dir=target.parent))
    for file in _BESIDE:
        shutil.copy(DATA / base / file, making / file)
    save_file({n: t.float() for n, t in load_file(weights).items()}, making / "model.safetensors", {"format": "pt"})
    try:
        making.rename(target)
    except OSError:
        if _is_whole(target, DATA / base, weights):  # another process was first
            shutil.rmtree(making, ignore_errors=True)
        else:  # what stands there is not ours to trust
            target = making
    return target


_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json")


def _private_directory() -> Path:
    """A directory that nobody else can write to: the same one for all processes of the user, where that is possible."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    shared = Path(tempfile.gettempdir()) / f"iclmech-{user}"
    with contextlib.suppress(OSError):
        shared.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(shared)
        if stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid()):
            shared.chmod(0o700)
            return shared
    return _own_directory()


@cache
def _own_directory() -> Path:
    made = Path(tempfile.mkdtemp(prefix="iclmech-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _is_whole(target: Path, base: Path, weights: Path) -> bool:
    """Whether a completed snapshot is there with the shipped weights, its model's configuration and tokenizer, and nothing else."""
    from safetensors.torch import load_file

    try:
        if {file.name for file in target.iterdir()} != {*_BESIDE, "model.safetensors"}:
            return False
        if any((target / file).read_bytes() != (base / file).read_bytes() for file in _BESIDE):
            return False
        found, expected = load_file(target / "model.safetensors"), load_file(weights)
    except Exception:  # not there, damaged, or not to be read
        return False
    same = [found[name].equal(tensor.float()) for name, tensor in expected.items() if name in found]
    return len(same) == len(found) == len(expected) and all(same)


@cache
def mini_history() -> tuple[dict[str, Any], ...]:
    """The measured course of training of every seed: one row per check and seed.

    Columns: ``seed``, ``step``, ``phase``, ``tokens``, ``cpu_seconds``, training loss, and abilities: accuracies
    (fractions) of bare recall from the context (``"recall"``, chance .25) and on a few tasks by number of demonstrations (``"held-pair@16"``), in-weights accuracy (natural labels, no
    demonstrations, tasks whose words decide), and the best prefix-matching score of a head. Sequences are
    short at first (128 tokens until phase index 3 is over), so ``"held-pair@8"`` shows when learning in context sets in;
    ``"...@16"`` follows only when prompts of that length are trained on. Seed 0 was stopped early (see the model card).
    """
    path = DATA / "history.json"
    if not path.is_file():
        raise ModelError(
            "icl-mini's training history is not in this installation; install iclmech with its package data."
        )
    return tuple(from_ascii_json(path.read_text())["rows"])
