"""One bar for long work."""

from __future__ import annotations

import pytest

from iclmech._base import _progress, steps, track


def test_items_come_through_and_each_is_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    class Bar:
        def __enter__(self) -> object:
            return lambda what: seen.append(what)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(_progress, "steps", lambda title, total, enabled=True: seen.append((title, total)) or Bar())
    assert list(track("ab", "reading")) == ["a", "b"]
    assert seen == [("reading", 2), "", ""]


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with steps("work", 2, enabled=False) as step:
        step("first")
    assert list(track(iter([1]), "work", enabled=False)) == [1]
    assert capsys.readouterr().err == ""
