"""Figures for print: right widths, type that can be read, files of the kind that was asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from figures import synthetic

from iclmech import figures
from iclmech._base import ICLMechError
from iclmech.experiments import Comparison


@pytest.fixture(scope="module")
def result() -> Comparison:
    return synthetic.comparison(n_layers=3, n_heads=2)


@pytest.mark.parametrize(("width", "mm"), [("column", 85), ("page", 174), (120, 120)])
def test_the_width_is_in_millimetres_and_no_type_is_below_seven_points(result: Comparison, width: str | int, mm: int):
    figure = figures.figure_for(result, "similarity", width=width)
    assert figure.layout.width == pytest.approx(mm / 25.4 * 96)
    sizes = [figure.layout.font.size, figure.layout.xaxis.tickfont.size, figure.layout.yaxis.title.font.size]
    sizes += [a.font.size for a in figure.layout.annotations]
    assert min(sizes) >= 7 * 96 / 72 - 1e-9


def test_what_the_title_said_is_kept_for_the_caption(result: Comparison):
    figure = figures.figure_for(result, "similarity")
    assert not figure.layout.title.text
    assert figure.layout.meta["caption"].startswith("SimAOU by layer. Mean and 95")


def test_the_first_figure_is_the_default_and_unknown_ones_are_named(result: Comparison):
    assert figures.figure_for(result).layout.meta["caption"].startswith("What was shown")
    with pytest.raises(ICLMechError, match="Did you mean 'similarity'"):
        figures.figure_for(result, "similarty")
    with pytest.raises(ICLMechError, match="'column', 'page'"):
        figures.figure_for(result, width="poster")


def test_another_ending_is_refused(result: Comparison, tmp_path: Path):
    with pytest.raises(ICLMechError, match=r"ends in \.png"):
        figures.save_figure(figures.figure_for(result), tmp_path / "figure.bmp")
    assert figures.save_figure(figures.figure_for(result), tmp_path / "new" / "figure.html").is_file()


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
@pytest.mark.filterwarnings("ignore")  # of kaleido and its event loop
def test_files_are_what_their_names_say(result: Comparison, tmp_path: Path, ending: str, begins: bytes):
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no Chromium here: images are drawn by it")
    pytest.importorskip("kaleido", reason="kaleido is in the extra figures")
    path = figures.save_figure(figures.figure_for(result, "contrasts"), tmp_path / f"figure.{ending}", dpi=192)
    assert path.read_bytes().startswith(begins)
    if ending == "png":
        width = int.from_bytes(path.read_bytes()[16:20], "big")
        assert width == pytest.approx(85 / 25.4 * 192, abs=2)
