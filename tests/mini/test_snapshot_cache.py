"""Completed snapshots stand where nobody else can write, and are compared with the shipped ones before they are used."""

from __future__ import annotations

import shutil
import stat
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from iclmech.mini import list_mini_models, mini_model_dir

NAME = list_mini_models()[1]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_directory_is_private_and_used_again():
    made = mini_model_dir(NAME)
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert mini_model_dir(NAME) == made


@pytest.mark.parametrize("planted", ["weights", "more", "config"])
def test_what_another_has_planted_is_not_used(planted: str):
    made = mini_model_dir(NAME)
    expected = load_file(made / "model.safetensors")
    if planted == "weights":
        name = next(iter(expected))
        save_file({**expected, name: expected[name] + 1}, made / "model.safetensors")
    elif planted == "more":
        (made / "modeling_evil.py").write_text("raise SystemExit")
    else:
        (made / "config.json").write_text("{}")
    other = mini_model_dir(NAME)
    assert other != made
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_file(other / "model.safetensors").items())
    assert sorted(p.name for p in other.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_a_link_in_its_place_is_not_followed(elsewhere: Path):
    made = mini_model_dir(NAME).parent
    shutil.rmtree(made)
    (elsewhere / "theirs").mkdir()
    made.symlink_to(elsewhere / "theirs")
    assert mini_model_dir(NAME).parent != made
    assert not list((elsewhere / "theirs").iterdir())
