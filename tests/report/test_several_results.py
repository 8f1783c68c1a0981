"""One page of several results: a part each, behind a table of contents, with anchors of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import xarray as xr
from figures import synthetic

from iclmech._base import ICLMechError, Result
from iclmech.report import report_html, write_report


@pytest.fixture(scope="module")
def page() -> str:
    one = synthetic.comparison(n_layers=2, n_heads=2, task="mini/sentiment")
    other = synthetic.comparison(n_layers=2, n_heads=2, task="mini/topic")
    plain = Result(
        xr.Dataset({"accuracy": ("k", [0.5, 0.9])}),
        kind="curve",
        provenance={"model": {"name": "/somewhere/models/mine"}},
    )
    return report_html([one, other, plain])


def test_every_result_has_its_part_and_stands_in_the_contents(page: str):
    for n, title in enumerate(("icl-mini on mini/sentiment", "icl-mini on mini/topic", "mine: curve"), start=1):
        assert f'<a href="#r{n}-part"><bdi>{title}</bdi></a>' in page
        assert f'id="r{n}-part"' in page
        assert f'id="r{n}-answer"' in page
    assert "<h1><bdi>3 results</bdi></h1>" in page


def test_no_anchor_is_there_twice_and_every_link_has_one(page: str):
    body = page[: page.index('<script type="application/json"')]
    ids = re.findall(r' id="([^"]+)"', body)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', body)) <= set(ids)


def test_a_model_given_by_path_is_called_by_its_last_part(page: str):
    assert "/somewhere/models/mine</bdi></a>" not in page


def test_figures_of_both_are_there(page: str):
    for n in (1, 2):
        assert f'data-figure="r{n}-contrasts"' in page


def test_numbers_stand_to_the_right_and_long_tables_are_closed(page: str):
    assert '<td class="number">' in page
    summaries = re.findall(r"<details( open)?><summary>[^<]*\((\d+) rows\)", page)
    assert summaries
    assert all((state == " open") == (int(rows) <= 12) for state, rows in summaries)


def test_nothing_and_what_is_no_result_are_refused(tmp_path: Path):
    with pytest.raises(ICLMechError, match="got no results"):
        write_report([], tmp_path / "page.html")
    with pytest.raises(ICLMechError, match="got str"):
        write_report(["x"], tmp_path / "page.html")  # type: ignore[list-item]
