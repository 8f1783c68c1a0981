"""A quicker way is tried once, and its verdict stays with what was tried."""

from __future__ import annotations

import torch

from iclmech.models._verified import close, tolerance, verdict


class Owner:
    """Anything that can be referred to weakly."""


def test_a_way_is_tried_once_and_each_owner_has_its_own_verdict() -> None:
    asked: list[str] = []
    owner, other = Owner(), Owner()
    assert verdict(owner, "fast", lambda: asked.append("a") or "") == ""
    assert verdict(owner, "fast", lambda: asked.append("b") or "wrong") == ""
    assert verdict(other, "fast", lambda: asked.append("c") or "the readout") == "the readout"
    assert asked == ["a", "c"]


def test_an_error_is_a_verdict() -> None:
    def fails() -> str:
        raise ValueError("no such layer\nmore")

    assert verdict(Owner(), "fast", fails) == "ValueError: no such layer"


def test_close_knows_rounding_from_a_difference() -> None:
    x = torch.tensor([1.0, -50.0])
    assert close(x + 1e-3, x)
    assert not close(x + 1e-2, x)
    assert close(x + 1, x, torch.bfloat16)
    assert not close(torch.tensor([float("nan"), 0.0]), x)
    assert tolerance(torch.float64) == tolerance(torch.float32) < tolerance(torch.float16)
