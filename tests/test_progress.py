"""Progress: one bar in a terminal; few lines elsewhere, with how much is done and how long the rest takes."""

from __future__ import annotations

import pytest

from iclmech._base import _progress, duration, steps, track
from iclmech._base._progress import EVERY, Lines


def test_items_come_through_and_each_is_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    class Bar:
        def __enter__(self) -> object:
            return lambda what: seen.append(what)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(_progress, "steps", lambda title, total, enabled=True: seen.append((title, total)) or Bar())
    assert list(track("ab", "reading")) == ["a", "b"]
    assert seen == [("reading", 2), "", ""]


def test_a_line_is_written_every_half_minute_with_time_left() -> None:
    now, lines = [0.0], []
    step = Lines("compare", 10, clock=lambda: now[0], write=lines.append)
    for i in range(10):
        step(f"part {i}")
        now[0] += 20.0
    assert EVERY == 30
    assert lines[0] == "compare: 2 of at most 10 steps in 40 s, about 2 min 40 s left; now part 2\n"
    assert len(lines) == 4  # at 40, 80, 120, 160 of 180 seconds


def test_quick_work_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with steps("quick", 2) as step:
        step("a")
        step("b")
    assert list(track([1, 2], "quick")) == [1, 2]
    assert capsys.readouterr().err == ""


def test_what_was_done_before_does_not_count_as_speed() -> None:
    now, lines = [0.0], []
    step = Lines("sweep", 10, 6, clock=lambda: now[0], write=lines.append)
    step("seventh")
    now[0] = 60.0
    step("eighth")
    assert lines == ["sweep: 7 of at most 10 steps in 1 min 0 s, about 3 min 0 s left; now eighth\n"]


def test_without_a_total_no_time_left_is_promised() -> None:
    now, lines = [0.0], []
    step = Lines("search", None, clock=lambda: now[0], write=lines.append)
    now[0] = 61.0
    step("")
    assert lines == ["search: 0 steps in 1 min 1 s\n"]
    assert duration(3725.0) == "1 h 2 min"
