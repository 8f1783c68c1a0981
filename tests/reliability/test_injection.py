"""Faults let in everywhere: out of every n-th operation of PyTorch, and Ctrl-C at every line that places or restores."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import torch
from operations import operations_of, reference_of, same
from torch.utils._python_dispatch import TorchDispatchMode
from whole_state import differences, state_of

ERRORS = (ValueError, RuntimeError, MemoryError, KeyboardInterrupt)
PLACING = (
    *("_guard.py", "_owner.py", "_restore.py", "_applying.py", "_learner.py", "_blocks.py", "_twin_training.py"),
    *("_twin_run.py", "_twin_edits.py", "_twin_variants.py", "_session.py", "_hooked_run.py", "_selfcheck.py"),
    *("_twin.py", "_partial_pass.py", "_model.py", "_capture.py", "_stream.py", "_variants.py", "_prefix_queries.py"),
)
"""Files whose every line is a place for Ctrl-C."""


class Faults(TorchDispatchMode):
    """Raises `error` in place of operation `at`, and counts."""

    def __init__(self, at: int, error: type[BaseException] = ValueError):
        super().__init__()
        self.count, self.at, self.error = 0, at, error

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        if self.count == self.at:
            raise self.error("injected")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def ctrl_c_at(line: int) -> Iterator[list[int]]:
    """The signal at the n-th line run in the files that place or restore; binds the count of lines."""
    count = [0]

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        if "/iclmech/" not in name or not name.endswith(PLACING) or frame.f_code.co_name == "__del__":
            return None
        if event == "line" and not leaving(frame):
            count[0] += 1
            if count[0] == line:
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(None)


def leaving(frame: FrameType) -> bool:
    """Whether a line is run again only to leave its `with` block: between a block and its exit Python looks for no signal."""
    code, at = frame.f_code.co_code, frame.f_lasti
    load_none = 100
    return code[at] == load_none and frame.f_code.co_consts[code[at + 1]] is None and code[at + 2] == load_none


class Bench:
    """A model, what is done to it, and what must never change."""

    def __init__(self, model: Any):
        self.model = model
        self.operations = operations_of(model)
        for operation in self.operations.values():
            operation()  # whatever is tried once and remembered is tried now
        self.numbers = reference_of(model)
        self.expected = self.numbers()
        self.before = state_of(model)

    def wrong(self) -> list[str]:
        """What is not as it was, in the state or in the next captures."""
        found = differences(self.model, self.before)
        return found if same(self.numbers(), self.expected) else [*found, "the next captures"]


@pytest.fixture(scope="module")
def bench(tiny_path: Callable[..., Any]) -> Bench:
    from iclmech.models import load_model

    model = load_model(tiny_path("gpt2", 2), device="cpu")
    for number, part in enumerate(model.hooked.modules()):
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
        if number % 3 == 0:
            part.training = True  # odd modes, which must stay
    for number, parameter in enumerate(model.hooked.parameters()):
        parameter.requires_grad_(number % 2 == 0)
    return Bench(model)


def points(total: int, wanted: int) -> list[int]:
    """`wanted` of the numbers 1 … total, evenly."""
    wanted = min(wanted, total)
    return [1 + (n * total) // wanted for n in range(wanted)]


def test_exceptions_out_of_pytorch_leave_nothing_behind(bench: Bench, size: Callable[[int, int], int]):
    failed, tried = [], 0
    for name, operation in bench.operations.items():
        with Faults(0) as counter:
            operation()
        for number, at in enumerate(points(counter.count, size(2, 400))):
            error = ERRORS[number % len(ERRORS)]
            with contextlib.suppress(*ERRORS), Faults(at, error):
                operation()
            tried += 1
            wrong = bench.wrong()
            if wrong:
                failed.append((name, at, error.__name__, wrong))
    assert not failed, f"{len(failed)} of {tried}: {failed[:5]}"
    assert tried >= size(2, 300) * len(bench.operations)


@pytest.mark.usefixtures("sigint")
def test_ctrl_c_at_every_line_that_places_or_restores(bench: Bench, size: Callable[[int, int], int]):
    failed, tried, came = [], 0, 0
    for name, operation in bench.operations.items():
        with ctrl_c_at(0) as lines:
            operation()
        for at in points(lines[0], size(4, 10**9)):
            try:
                with ctrl_c_at(at):
                    operation()
            except KeyboardInterrupt:
                came += 1
            tried += 1
            wrong = bench.wrong()
            if wrong:
                failed.append((name, at, wrong))
    assert not failed, f"{len(failed)} of {tried}: {failed[:5]}"
    assert came == tried  # each was raised in the end


def test_ctrl_c_as_any_hook_has_just_been_placed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: Callable[[int, int], int]
):
    """Also where no signal brings it: `register_forward_hook` raises after it has placed the hook."""
    failed, tried, calls, at = [], 0, [0], [0]
    for name, operation in bench.operations.items():
        calls[0] = 0
        for kind in ("register_forward_hook", "register_forward_pre_hook"):
            real = getattr(torch.nn.Module, kind)

            def placed(self: Any, *args: Any, real: Any = real, **kwargs: Any) -> Any:
                handle = real(self, *args, **kwargs)
                calls[0] += 1
                if calls[0] == at[0]:
                    raise KeyboardInterrupt
                return handle

            monkeypatch.setattr(torch.nn.Module, kind, placed)
        operation()
        for at[0] in points(calls[0], size(2, 10**9)):
            calls[0] = 0
            with contextlib.suppress(KeyboardInterrupt):
                operation()
            tried, at[0] = tried + 1, 0
            wrong = bench.wrong()
            if wrong:
                failed.append((name, wrong))
        monkeypatch.undo()
    assert not failed, f"{len(failed)} of {tried}: {failed[:5]}"
    assert tried
