"""Long work shows itself on the error stream: a bar in a terminal, elsewhere a line every half minute. It can be switched off."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


@contextmanager
def steps(title: str, total: int | None, *, enabled: bool = True, done: int = 0) -> Iterator[Callable[[str], None]]:
    """Yield a function that moves a bar by one step and says which.

    Where there is no terminal it writes a line instead, at most one in half a minute: steps done, time taken, time left. It is
    called when a step begins.

    Args:
        title: what stands beside the bar at first.
        total: how many steps there are, at most.
        done: how many of them were done before.
    """
    if not enabled:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield Lines(title, total, done)
        return
    with Progress(console=console, transient=True) as bar:
        row = bar.add_task(title, total=total, completed=done)
        yield lambda what: bar.update(row, advance=1, description=what or title)


class Lines:
    """Counts steps, and now and then writes a line.

    `clock` gives seconds, `write` takes the line; both can be replaced.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        done: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] | None = None,
    ):
        self.title, self.total, self.before, self.begun = title, total, done, done
        self._clock, self._write = clock, write or _to_stderr
        self._start = self._last = clock()

    def __call__(self, what: str) -> None:
        """A step begins."""
        self.begun += 1
        now = self._clock()
        if now - self._last >= EVERY:
            self._last = now
            self._write(self._line(what, now - self._start) + "\n")

    def _line(self, what: str, taken: float) -> str:
        finished = self.begun - 1
        of = f" of at most {self.total}" if self.total else ""
        parts = [f"{self.title}: {finished}{of} steps in {duration(taken)}"]
        here = finished - self.before
        if self.total and here > 0:
            parts.append(f"about {duration(taken / here * max(0, self.total - finished))} left")
        return ", ".join(parts) + (f"; now {what}" if what else "")


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42.4), duration(100.0), duration(5000.0)
    ('42 s', '1 min 40 s', '1 h 23 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def track(items: Iterable[T], description: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield `items`; where enabled, show how far along they are."""
    known = total if total is not None else len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    with steps(description, known, enabled=enabled) as step:
        for item in items:
            step("")
            yield item


def _to_stderr(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()
