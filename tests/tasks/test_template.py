from __future__ import annotations

from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.tasks import PieceTokenizer
from iclmech.tasks._template import template


def test_spaces_move_to_the_piece_that_follows() -> None:
    cut = template("Review: {text}  Label: ").pieces({"text": " fine \n"})
    assert cut == [("template", "Review:"), ("text", " fine"), ("template", "  Label:")]


def test_newlines_stay_where_they_are() -> None:
    assert template("In:\n{text}\nOut:\n").pieces({"text": "x"}) == [
        ("template", "In:\n"),
        ("text", "x"),
        ("template", "\nOut:\n"),
    ]


def test_several_fields_with_a_space_between() -> None:
    cut = template("{premise} {hypothesis}. True?").pieces({"premise": "p", "hypothesis": "h"})
    assert cut == [("text", "p"), ("text", " h"), ("template", ". True?")]


def test_an_empty_field_leaves_its_space_to_the_next_piece() -> None:
    assert template("A: {text} B:").pieces({"text": " "}) == [("template", "A:"), ("template", "  B:")]


def test_braces_are_escaped_and_one_literal_is_one_piece() -> None:
    made = template("{{set}} {text}}}")
    assert made.pieces({"text": "x"}) == [("template", "{set}"), ("text", " x"), ("template", "}")]
    assert made.render({"text": "{y}"}) == "{set} {y}}"


def test_the_forerunner_is_the_last_token(bpe: Any) -> None:
    pieces = PieceTokenizer.of(bpe)
    for source in ("Review: {text}\nSentiment:", "{text}", "Review: {text}?"):
        tokens, spans = template(source).encode({"text": "a fine film"}, pieces)
        assert [s.role for s in spans].count("forerunner") == 1
        assert (spans[-1].role, spans[-1].start, spans[-1].stop) == ("forerunner", len(tokens) - 1, len(tokens))


def test_nothing_gives_no_tokens(bpe: Any) -> None:
    assert template("{text}").encode({"text": " "}, PieceTokenizer.of(bpe)) == ([], ())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no field", "has no field"),
        ("{text", "cannot be read"),
        ("text}", "cannot be read"),
        ("{} x", "plain named fields"),
        ("{0}", "plain named fields"),
        ("{text:>3}", "plain named fields"),
        ("{text!r}", "plain named fields"),
        ("{text.upper}", "plain named fields"),
        ("{text} is {label}", "never inside"),
    ],
)
def test_bad_templates(source: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        template(source)
