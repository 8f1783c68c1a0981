"""Printing a result: the answer first, one small table, nothing wider than 80 columns."""

from __future__ import annotations

import pandas as pd
import pytest
import xarray as xr
from figures import synthetic

from iclmech._base import Result, readable
from iclmech._base._brief import condensed, interval, number, text_table


@pytest.fixture(scope="module")
def printed() -> str:
    return str(synthetic.comparison(n_layers=3, n_heads=2))


def test_a_printed_comparison_begins_with_its_answer_and_has_one_table_of_twelve_rows(printed: str):
    lines = printed.splitlines()
    assert lines[0].startswith("With 32 demonstrations in context, icl-mini answers")
    rules = [i for i, line in enumerate(lines) if line.startswith("───")]
    assert len(rules) == 1
    table = lines[rules[0] + 1 : lines.index("", rules[0])]
    assert [line.split("  ")[0] for line in table[:2]] == ["zero-shot", "in context (ICL)"]
    assert len([line for line in table if line.split()]) <= 16  # 12 rows, some in two lines
    assert max(map(len, lines)) <= 80


def test_the_control_that_decides_stands_first_below_its_update(printed: str):
    result = synthetic.comparison(n_layers=3, n_heads=2)
    rows = result.brief()
    assert rows.shape[0] <= 12
    assert rows.shape[1] <= 5
    first = rows.iloc[list(rows[""]).index("after GD") + 1]
    undecided = [c for c in result.judged() if c.about.get("update") == "gd" and c.about.get("control")]
    nearest = min(undecided, key=lambda c: (c.verdict == "holds", c.measured))
    assert first["verdict"] in (nearest.verdict, "not judged")
    assert f"{nearest.measured:+.2f}".replace("-", "−") in first["update − control"]


def test_a_summary_prints_its_numbers_and_stays_a_table():
    summary = synthetic.comparison(n_layers=3, n_heads=2).summary()
    text = repr(summary)
    assert "mean" in text.splitlines()[0]
    assert "interval" in text.splitlines()[0]
    assert max(map(len, text.splitlines())) <= 80
    assert isinstance(summary, pd.DataFrame)
    assert type(summary[["mean"]]) is pd.DataFrame
    assert summary["mean"].notna().any()


def test_every_kind_of_result_prints_its_summary_readably():
    class Wide(Result):
        def summary(self) -> pd.DataFrame:
            return pd.DataFrame(
                {f"column number {i}": ["a text of some length"] * 70 for i in range(9)} | {"mean": range(70)}
            )

    lines = repr(Wide(xr.Dataset(), kind="wide").summary()).splitlines()
    assert max(map(len, lines)) <= 80
    assert "10 more rows" in " ".join(lines)


def test_what_is_the_same_everywhere_is_left_out_and_ends_become_an_interval():
    frame = pd.DataFrame(
        {
            "k": [4.0, 8.0],
            "model": ["m", "m"],
            "mean": [0.5, -0.25],
            "low": [0.4, float("nan")],
            "high": [0.6, 1.0],
            "p": [0.1, 0.2],
        }
    )
    short = condensed(frame)
    assert list(short.columns) == ["k", "mean", "interval"]
    assert short.values.tolist() == [["4", "0.500", "[0.400, 0.600]"], ["8", "−0.250", "–"]]


def test_numbers_stand_to_the_right_and_words_are_wrapped():
    text = text_table(["what", "mean"], [["a long text that must be broken", "0.5"], ["b", "−10.0"]], width=24)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 24
    assert lines[2].endswith("  0.5")
    assert lines[-1].endswith("−10.0")
    assert (number(float("nan")), interval(0.1, float("nan"))) == ("–", "–")


def test_hostile_texts_are_shown_not_obeyed():
    assert "\u202e" not in str(readable(pd.DataFrame({"name": ["a\u202eb"], "mean": [1.0]})))
