from __future__ import annotations

import os
import signal
import sys
import threading
from types import SimpleNamespace

import pytest
import torch
from transformer_lens.hook_points import HookPoint

from iclmech._base import Guard


@pytest.fixture(autouse=True)
def _pythons_own_handler():
    """A process that was started in the background may ignore the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(3):
        len([])  # Python looks for signals between calls


def test_what_was_changed_is_undone_last_first_and_the_first_failure_is_raised_at_the_end():
    done: list[str] = []

    def fail() -> None:
        done.append("fail")
        raise ValueError("cannot be undone")

    with pytest.raises(ValueError, match="cannot be undone"), Guard() as guard:  # noqa: PT012 - the block is what is tested
        guard.undo(lambda: done.append("first"))
        guard.undo(fail)
        guard.undo(lambda: done.append("last"))
    assert done == ["last", "fail", "fail", "first"]


def test_a_change_that_fails_half_way_is_undone():
    thing = SimpleNamespace(mode="train")

    def change(guard: Guard) -> None:
        guard.set(thing, "mode", "eval")
        raise ValueError

    with pytest.raises(ValueError), Guard(change):  # noqa: PT011 - it is the one above
        pass
    assert thing.mode == "train"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_hook_that_was_placed_without_a_handle_is_removed(wrapped, monkeypatch):
    """As when Ctrl-C comes between placing it and keeping what removes it; hooks of others stay."""
    module = HookPoint()
    module.register_forward_hook(lambda module, args, output: output + 1)
    register = torch.nn.Module.register_forward_hook

    def interrupted(self, *args, **kwargs):
        register(self, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", interrupted)
    from iclmech._base import remove_hook

    def change(guard: Guard) -> None:
        if not wrapped:
            guard.hook(module, lambda module, args, output: output + 10)
        hook = lambda tensor, hook: tensor + 10  # noqa: E731 - one object
        guard.undo(lambda: remove_hook(module, hook))
        module.add_hook(hook)

    with pytest.raises(KeyboardInterrupt), Guard(change):
        pass
    assert module(torch.zeros(1)).item() == 1
    assert module.fwd_hooks == []


def test_ctrl_c_while_undoing_waits_until_all_is_undone():
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), Guard() as guard:  # noqa: PT012 - the block is what is tested
        guard.undo(lambda: done.append("first"))
        guard.undo(interrupt)
        guard.undo(interrupt)
    assert done == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_changing_comes_when_the_change_is_whole_and_undoes_it():
    thing = SimpleNamespace(a=0, b=0)
    seen = []

    def change(guard: Guard) -> None:
        guard.set(thing, "a", 1)
        interrupt()
        guard.set(thing, "b", 1)
        seen.append((thing.a, thing.b))

    with pytest.raises(KeyboardInterrupt), Guard(change):
        seen.append("inside")
    assert seen == [(1, 1)]
    assert (thing.a, thing.b) == (0, 0)


def test_ctrl_c_in_the_block_comes_at_once():
    thing, seen = SimpleNamespace(a=0), []
    with pytest.raises(KeyboardInterrupt), Guard() as guard:  # noqa: PT012 - the block is what is tested
        guard.set(thing, "a", 1)
        interrupt()
        seen.append("later")
    assert (thing.a, seen) == (0, [])


def test_ctrl_c_at_every_line_of_the_guard_itself():
    """By a tracer that raises the signal at the n-th line of the guard's own functions, for every n."""
    names, n, points = {"__enter__", "__exit__", "close", "set", "undo", "enter", "leave", "deliver"}, 0, []
    while not points or points[-1]:
        n += 1
        thing, left = SimpleNamespace(a=0), n

        def trace(frame, event, arg):
            nonlocal left
            if not frame.f_code.co_filename.endswith("_guard.py") or frame.f_code.co_name not in names:
                return None
            above = frame
            while above is not None:
                if above.f_code.co_name == "__del__":
                    return None  # all is undone by then, and Python raises nothing out of it
                above = above.f_back
            if event == "line":
                left -= 1
                if left == 0:
                    signal.raise_signal(signal.SIGINT)
            return trace

        came = False
        sys.settrace(trace)
        try:
            with Guard(lambda guard, thing=thing: guard.set(thing, "a", 1)):
                pass
        except KeyboardInterrupt:
            came = True
        finally:
            sys.settrace(None)
        assert thing.a == 0, n
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, n
        points.append(came)
        assert came == (left <= 0), n
    assert len(points) > 20


def test_a_handler_of_ones_own_is_called_and_stays():
    calls: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with Guard() as guard:
            interrupt()
            guard.undo(interrupt)
        assert calls == [signal.SIGINT] * 2
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_guards_leave_signals_alone():
    thing, seen = SimpleNamespace(a=0), []

    def work() -> None:
        with Guard() as guard:
            guard.set(thing, "a", 1)
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert thing.a == 0
    assert seen == [signal.default_int_handler]


def test_a_block_that_is_never_left_is_undone_when_the_guard_goes():
    thing = SimpleNamespace(a=0)
    guard = Guard(lambda guard: guard.set(thing, "a", 1))
    guard.__enter__()
    assert thing.a == 1
    del guard
    assert thing.a == 0
