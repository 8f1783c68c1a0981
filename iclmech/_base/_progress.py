"""One progress bar for long work, on the error stream, that can be switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def steps(title: str, total: int | None, *, enabled: bool = True, done: int = 0) -> Iterator[Callable[[str], None]]:
    """Yield a function that moves a bar by one step and says which; it does nothing where there is no terminal.

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
        yield lambda _: None
        return
    with Progress(console=console, transient=True) as bar:
        row = bar.add_task(title, total=total, completed=done)
        yield lambda what: bar.update(row, advance=1, description=what or title)


def track(items: Iterable[T], description: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield `items`; where enabled and the error stream is a terminal or a notebook, show how far along they are."""
    known = total if total is not None else len(items) if hasattr(items, "__len__") else None  # type: ignore[arg-type]
    with steps(description, known, enabled=enabled) as step:
        for item in items:
            yield item
            step("")
