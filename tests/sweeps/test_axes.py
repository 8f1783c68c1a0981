"""Axes: lists, ranges, fields that go together, and every mistake told by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from counting import CountRequest

import iclmech as icl
from iclmech.experiments import CompareRequest
from iclmech.sweeps import SweepError
from iclmech.sweeps._axes import Axis, axes_of, plain


def test_lists_ranges_arrays_and_zipped_fields():
    axes = axes_of(CountRequest, {"n": range(1, 4), "rate": np.array([0.5, 2]), "word,pause": [("a", 1), ("b", 2.5)]})
    assert axes == (
        Axis(("n",), ((1,), (2,), (3,))),
        Axis(("rate",), ((0.5,), (2.0,))),
        Axis(("word", "pause"), (("a", 1.0), ("b", 2.5))),
    )
    assert axes[2].name == "word"
    assert all(type(v) is float for (v,) in axes[1].values)


def test_values_are_what_the_field_holds():
    assert plain(CompareRequest, "updates", ["gd", "lcgd"]) == ("gd", "lcgd")
    assert plain(CompareRequest, "updates", "gd,lcgd") == ("gd", "lcgd")
    assert plain(CompareRequest, "seeds", [3, 5]) == (3, 5)
    assert plain(CompareRequest, "lr", 1) == 1.0
    assert plain(CompareRequest, "lr", {"gd": 0.1, "lcgd": [0.3, 1]}) == "gd=0.1,lcgd=0.3/1"
    assert plain(CompareRequest, "separator", None) is None


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ({"words": ["a"]}, "Did you mean 'word'"),
        ({"word": "abc"}, "a list or a range"),
        ({"n": 3}, "a list or a range"),
        ({"n": []}, "no values"),
        ({"n": [1, 2, 1]}, "1 twice"),
        ({"n": [1], "word,n": [("a", 1)]}, "n on two axes"),
        ({"word,n": [("a", 1), ("b",)]}, "2 values"),
        ({"n": ["many"]}, "a whole number"),
        ({"word": [object()]}, "plain values"),
        ({"n": [True]}, "plain values"),
    ],
)
def test_mistakes_are_told(axes: dict[str, Any], says: str):
    with pytest.raises(SweepError.__mro__[1], match=says):
        axes_of(CountRequest, axes)


def test_a_model_is_given_by_name():
    with pytest.raises(SweepError, match="by its name or directory"):
        plain(CompareRequest, "model", icl.Task("t", [], [], "{text}", ["x", "y"]))
