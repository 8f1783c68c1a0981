"""The shipped artefacts: the model, its snapshots, its training history."""

from __future__ import annotations

import hashlib
import os
import shutil
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
    tokenizer, which are the model's; it is completed, as float32, once in the user's temporary directory, under a name
    that carries its checksum.

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
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    target = Path(tempfile.gettempdir()) / f"iclmech-{user}" / f"{weights.stem}-{check}"
    if not (target / "model.safetensors").is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=target.parent))
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(DATA / base / file, making / file)
        save_file({n: t.float() for n, t in load_file(weights).items()}, making / "model.safetensors", {"format": "pt"})
        try:
            making.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(making, ignore_errors=True)
    return target


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
