"""Every argument of every command with values that cannot be meant: exit code 2, one line, before a model is loaded."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from iclmech import cli
from iclmech._base import REGISTRIES
from iclmech.experiments import _experiment
from iclmech.experiments._request import field_types
from iclmech.experiments._request_check import check_request

WHOLE = ["", "x", "1.5", "nan", "inf", "1e3", "0x10", "1,x", "\0", "9" * 5000, "1 2", "-7"]
NUMBERS = ["", "x", "nan", "inf", "-inf", "1e999", "1,x", "0x1", "\0", "1 2", "∞", "-7"]
TEXTS = [
    "\0",
    "a\0b",
    "\ud800",
    "x" * 5000,
    "no such thing",
    "../../etc/nothing",
    "/dev/null/x",
    "<script>alert(1)</script>",
]
TEXTS += ["$(id)", "\u202ename", "a b\nc", "{}"]
ANY_TEXT = [
    "\0",
    "a\0b",
    "\ud800",
    "\udfff",
    "x" * 5000,
    "\0" * 3,
    "y" * 10**5,
    "x\ud800",
    "\n" * 5000,
    "\0\n",
    "é" * 5000,
    "\t\0",
]
FREE = {"separator"}
EXPERIMENTS = ("compare", "circuit", "order", "induction-heads", "dual-form", "training-history", "published")


class ModelLoadedError(Exception):
    """A model would have been loaded."""


def hostile(kind: Any, name: str) -> list[str]:
    if kind is bool:
        return ["x", "0", "nan", "", "\0", "-1", "maybe", "None", "{}", "1e9", "x" * 5000, "\u202e"]
    if kind is int or kind == int | tuple[int, ...]:
        return WHOLE
    if kind is float:
        return NUMBERS
    return ANY_TEXT if name in FREE else TEXTS


def arguments() -> Iterator[tuple[str, str, list[str]]]:
    for name in EXPERIMENTS:
        for field, kind in field_types(REGISTRIES["experiment"][name].request).items():
            yield name, field, hostile(kind, field)


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(request: Any) -> Any:
        raise ModelLoadedError(repr(request)[:300])

    monkeypatch.setitem(_experiment.RESOLVERS, "model", loaded)
    monkeypatch.setattr("iclmech.models.load_model", loaded)


def answer(words: list[str]) -> tuple[int, str]:
    """Exit code and standard error of a command."""
    error = io.StringIO()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.main(words)
        except SystemExit as stop:
            return int(stop.code or 0), error.getvalue()
    return 0, error.getvalue()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_argument_with_hostile_values(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: Callable[[int, int], int]
):
    wrong, tried = [], 0
    every = cli.commands()
    monkeypatch.setattr(cli, "commands", lambda: {one: every[one] for one in (name, "models")})  # the rest takes time
    for command, field, values in arguments():
        if command != name:
            continue
        for value in values[len(field) % 3 :: size(3, 1)] if size(3, 1) > 1 else values:
            flag = f"--{field.replace('_', '-')}"
            words = [
                command,
                "--out",
                str(tmp_path / "out"),
                *([flag, value] if value[:1] == "\0" else [f"{flag}={value}"]),
            ]
            code, said = answer(words)
            tried += 1
            if code != 2 or said.count("\n") != 1 or not said.startswith("iclmech: ") or len(said) > 900:
                wrong.append((field, value[:20], code, said[:160]))
    assert not wrong, f"{len(wrong)} of {tried}: {wrong[:6]}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_places_that_cannot_be_written_to(command: str, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for out in (
        tmp_path / "file",
        tmp_path / "file" / "x",
        "/proc/nope/x",
        "/dev/null/x",
        tmp_path / ("n" * 300),
        "a\0b",
    ):
        code, said = answer([command, f"--out={out}"])
        assert (code, said.count("\n")) == (2, 1), said
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["compere"], "Did you mean 'compare'?"),
        (["compare", "--updates", "lgcd"], "Did you mean 'lcgd'?"),
        (["compare", "--controls", "random_direktion"], "Did you mean 'random_direction'?"),
        (["compare", "--dtype", "bfloat61"], "Did you mean 'bfloat16'?"),
        (["compare", "--n-querys", "3"], "--n-queries"),
        (["compare", "--task", "mini/sentimant"], "mini/sentiment"),
    ],
)
def test_the_nearest_name_is_told(words: list[str], hint: str, tmp_path: Path):
    code, said = answer([*words, *(["--out", str(tmp_path / "out")] if len(words) > 1 else [])])
    assert code == 2
    assert hint in said
    assert said.count("\n") == 1


def test_other_commands_with_hostile_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    every = cli.commands()
    monkeypatch.setattr(cli, "commands", lambda: {n: c for n, c in every.items() if n not in REGISTRIES["experiment"]})
    for words in (
        ["report"],
        ["get"],
        ["train-mini", "--recipe"],
        ["train-mini", f"--out={tmp_path / 'm'}", "--device"],
    ):
        for value in TEXTS:
            code, said = answer([*words, value])
            assert (code, said.count("\n")) == (2, 1), (words, value[:20], code, said[:300])


def test_a_fault_of_our_own_is_one_line_and_its_place_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    code, said = answer(["compare", f"--out={tmp_path / 'out'}"])  # loading the model raises what is no error of ours
    assert (code, said.count("\n")) == (70, 1)
    assert "ModelLoadedError" in said
    assert "ICLMECH_DEBUG=1" in said
    monkeypatch.setenv("ICLMECH_DEBUG", "1")
    with pytest.raises(ModelLoadedError):
        cli.main(["compare", f"--out={tmp_path / 'out'}"])


@pytest.mark.parametrize("name", list(REGISTRIES["experiment"]))
def test_the_defaults_of_every_experiment_are_let_through(name: str):
    check_request(REGISTRIES["experiment"][name].request())


def test_all_fields_are_there():
    assert sum(len(values) for _, _, values in arguments()) >= 12 * sum(
        len(fields(REGISTRIES["experiment"][name].request)) for name in EXPERIMENTS
    )
