"""One owner at a time: which thread works with a model now, and the state in which it is read.

Hooks and weights belong to the model, not to the pass that placed or changed them. So whoever runs the model, trains it
or has an update in force owns it until that is over; other threads wait, the owner itself may go in again.
"""

from __future__ import annotations

import threading
import time
import warnings
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

from iclmech._base import Guard, ICLMechWarning, interrupted

PATIENCE = 60.0
"""Seconds after which a thread that waits for a model says so."""


class Owner:
    """The thread that owns a model's modules, and the guards that it has open on them."""

    def __init__(self, module: nn.Module):
        self._module = ref(module)  # an owner lives as long as its module
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._name = ""
        self._open: list[int] = []

    def own(self) -> Guard:
        """A guard that waits for the model and owns it for the length of its block."""
        return Guard(self.take)

    def take(self, guard: Guard) -> None:
        """The same for a guard that has more to do."""
        me = threading.get_ident()
        guard.undo(partial(self._leave, id(guard), me))
        if self._thread != me:
            self._wait()
            self._thread, self._name = me, threading.current_thread().name
        self._open.append(id(guard))

    def _wait(self) -> None:
        began, said = time.monotonic(), False
        while not self._lock.acquire(timeout=0.1):
            if interrupted():
                raise KeyboardInterrupt
            if not said and time.monotonic() - began > PATIENCE:
                said = True
                warnings.warn(
                    f"{threading.current_thread().name} has waited {PATIENCE:g} s for a model that {self._name} works with "
                    "or has an update in force on. Threads that wait for each other never end: leave the `with` block first.",
                    ICLMechWarning,
                    stacklevel=2,
                )

    def _leave(self, guard: int, thread: int) -> None:
        if self._thread != thread:
            return  # it was never reached
        self._open = [other for other in self._open if other != guard]
        if not self._open:
            self._thread = None
            self._lock.release()

    def read(self) -> Guard:
        """A guard that owns the model and holds it in the state in which it is read: evaluation mode, no autocast, no
        foreign default device. All of it, and the grad mode, is afterwards as it was."""
        return Guard(self.begin_reading)

    def begin_reading(self, guard: Guard) -> None:
        """The same for a guard that has more to do."""
        self.take(guard)
        guard.undo(partial(torch.set_grad_enabled, torch.is_grad_enabled()))
        module = self._module()
        for part in module.modules() if module is not None else ():
            if part.training:
                guard.set(part, "training", False)
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                guard.undo(partial(torch.set_autocast_enabled, device, True))
                torch.set_autocast_enabled(device, False)
        if torch.get_default_device().type != "cpu":
            _on_the_cpu(guard)


def _on_the_cpu(guard: Guard) -> None:
    """Tensors that name no device are made on the CPU."""
    context: Any = torch.device("cpu")
    entered: list[Any] = []

    def leave() -> None:
        while entered:
            entered.pop().__exit__(None, None, None)

    guard.undo(leave)
    context.__enter__()
    entered.append(context)


_owners: WeakKeyDictionary[nn.Module, Owner] = WeakKeyDictionary()
_making = threading.Lock()


def owner_of(module: nn.Module) -> Owner:
    """The owner of a model's modules: one and the same for all that wrap these."""
    with _making:
        if module not in _owners:
            _owners[module] = Owner(module)
        return _owners[module]
