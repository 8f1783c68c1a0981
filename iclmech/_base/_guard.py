"""Changes that are taken back on every way out of a `with` block, Ctrl-C at any moment included.

    register the undoing ──► make the change ──► … the block … ──► undo, last first, whatever fails on the way

An interrupt that comes while a guard makes or undoes its changes is remembered and raised when that is done: as long as
a guard is open in the main thread, SIGINT is received here, and whoever is being interrupted is looked up on the stack.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

Undo = Callable[[], Any]
_HERE = globals()
_PROTECTED = ("__enter__", "__exit__", "close", "__del__")
"""Functions of guards, which an interrupt does not break off."""


class Guard:
    """A context manager around changes.

    Args:
        change: makes them, given the guard, through `hook`, `set`, or by `undo` and its own means; what it returns is what
            `with … as` binds. Left out, the block makes them.

    Example:
        >>> from types import SimpleNamespace
        >>> thing = SimpleNamespace(mode="train")
        >>> with Guard() as guard:
        ...     guard.set(thing, "mode", "eval")
        >>> thing.mode
        'train'
    """

    def __init__(self, change: Callable[[Guard], Any] | None = None):
        self._change = change
        self._undo: list[Undo] = []

    def undo(self, action: Undo) -> None:
        """Register what is done at the end. To be called before the change; harmless where it was not made, or twice."""
        self._undo.append(action)

    def set(self, thing: Any, name: str, value: Any) -> None:
        """Set an attribute for the length of the block."""
        self.undo(partial(setattr, thing, name, getattr(thing, name)))
        setattr(thing, name, value)

    def hook(self, module: Any, hook: Callable[..., Any], *, before: bool = False, with_kwargs: bool = False) -> None:
        """Register a forward hook (`before`: a forward pre-hook) of a PyTorch module for the length of the block."""
        self.undo(partial(remove_hook, module, hook))
        register = module.register_forward_pre_hook if before else module.register_forward_hook
        register(hook, with_kwargs=with_kwargs)

    def close(self) -> None:
        """Undo everything; go on after what fails, and raise the first failure at the end."""
        failed: BaseException | None = None
        tried: Undo | None = None
        while self._undo:
            action = self._undo[-1]
            try:
                action()
            except BaseException as error:  # every action gets a second chance, what comes after it in any case
                failed = failed or error
                if tried is not action:
                    tried = action
                    continue
            self._undo.pop()
        _interrupts.leave(self)
        if failed is not None:
            raise failed

    def __enter__(self) -> Any:
        _interrupts.enter(self)
        try:
            made = self if self._change is None else self._change(self)
            _interrupts.deliver(sys._getframe().f_back)
        except BaseException:
            self.close()
            raise
        return made

    def __exit__(self, *error: object) -> None:
        try:
            self.close()
        finally:
            self.close()
        _interrupts.deliver(sys._getframe().f_back)

    def __del__(self) -> None:
        if vars(self).get("_undo"):  # the block was never left; none where an interrupt came as it was made
            self.close()


def remove_hook(module: Any, hook: Callable[..., Any]) -> None:
    """Take a forward hook or pre-hook out of a module, also one that TransformerLens has wrapped; nothing where it is not."""
    for table in (module._forward_hooks, module._forward_pre_hooks):
        for key in [key for key, placed in list(table.items()) if _is(placed, hook)]:
            if hasattr(module, "fwd_hooks"):
                module.fwd_hooks[:] = [handle for handle in module.fwd_hooks if handle.hook.id != key]
            for name in (
                "_forward_hooks_with_kwargs",
                "_forward_hooks_always_called",
                "_forward_pre_hooks_with_kwargs",
            ):
                getattr(module, name).pop(key, None)
            table.pop(key, None)


def _is(placed: Any, hook: Callable[..., Any]) -> bool:
    if placed is hook:
        return True
    return any(cell.cell_contents is hook for cell in getattr(placed, "__closure__", None) or () if _filled(cell))


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where it is empty
    except ValueError:
        return False
    return True


class Interrupts:
    """SIGINT while guards are open in the main thread: raised at once, or after the work of a guard that it fell into."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._before: Any = None
        self.pending = False

    def enter(self, guard: Guard) -> None:
        """Receive SIGINT from the first open guard on, where Python receives it at all."""
        if threading.get_ident() != threading.main_thread().ident:
            return
        first = not self._open
        self._open.add(id(guard))
        if first:
            before = signal.getsignal(signal.SIGINT)
            if callable(before) and before != self.receive:
                self._before = before
                signal.signal(signal.SIGINT, self.receive)

    def leave(self, guard: Guard) -> None:
        """Hand SIGINT back after the last one, unless somebody else has taken it meanwhile."""
        if id(guard) not in self._open:
            return
        self._open.discard(id(guard))
        if self._open or threading.get_ident() != threading.main_thread().ident:
            return
        if self._before is not None and signal.getsignal(signal.SIGINT) == self.receive:
            signal.signal(signal.SIGINT, self._before)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        if self._at_work(frame):
            self.pending = True
        else:
            self._before(number, frame)

    def deliver(self, frame: FrameType | None) -> None:
        """Raise what was remembered, unless a guard further out is at work still."""
        if not self.pending or threading.get_ident() != threading.main_thread().ident:
            return
        if not self._at_work(frame):
            self.pending = False
            self._before(signal.SIGINT, frame)

    def _at_work(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_globals is _HERE and frame.f_code.co_name in _PROTECTED:
                return True
            frame = frame.f_back
        return False


_interrupts = Interrupts()


def interrupted() -> bool:
    """Whether a Ctrl-C has come that the guard at work should let through: for those who wait inside one."""
    return _interrupts.pending
