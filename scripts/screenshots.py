"""Pictures of the report and of every figure at 400, 1000 and 1600 px, light and dark, in screenshots/.

    python scripts/screenshots.py [saved result.nc] [--readme]

Without a saved result, runs/first/result.nc (of `make run`) is taken if it is there, else synthetic numbers. `--readme`
also takes the picture of the README, docs/images/report.png.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import plotly.graph_objects as go  # noqa: E402 - after the path
from browser import chromium as browser  # noqa: E402
from figures import synthetic  # noqa: E402
from plotly.offline import get_plotlyjs  # noqa: E402

from iclmech import figures  # noqa: E402
from iclmech.experiments import Comparison  # noqa: E402
from iclmech.report import write_report  # noqa: E402

OUT = ROOT / "screenshots"
README = ROOT / "docs" / "images" / "report.png"
WIDTHS, THEMES = (400, 1000, 1600), ("light", "dark")
DRAW = """
document.body.style.background = arguments[1];
const figure = JSON.parse(arguments[0]);
return Plotly.newPlot("plot", figure.data, figure.layout, {displayModeBar: false}).then(() => true);
"""
PAGE = {"light": "#ffffff", "dark": "#14181d"}


def all_figures(result: Comparison, large: Comparison) -> Iterator[tuple[str, go.Figure]]:
    """Every figure of the package: of the result, of 48 layers × 64 heads, of nothing, and of small inputs."""
    for kind, given in (("result", result), ("large", large), ("empty", synthetic.empty())):
        for draw in (figures.similarity_by_layer, figures.accuracy_by_setting, figures.head_map):
            yield f"{draw.__name__}-{kind}", draw(given)
    for kind, given in (("result", result), ("large", large)):
        yield f"attention_text-{kind}", figures.attention_text(given)
    yield (
        "similarity_by_layer-published",
        figures.similarity_by_layer(result, published={"gd": [0.1] * 12 + [0.2] * 12}),
    )
    yield "learning_rate_curve-chosen", figures.learning_rate_curve(result)
    yield "learning_rate_curve-grid", figures.learning_rate_curve(synthetic.comparison(rates=(0.001, 0.01, 0.1)))
    for layers in (4, 48):
        yield f"shift_trajectory-{layers}", figures.shift_trajectory(synthetic.trajectory(layers))
        yield f"logit_lens-{layers}", figures.logit_lens(*synthetic.lens(layers))
    yield "circuit_diagram", figures.circuit_diagram(synthetic.circuit())
    yield "emergence", figures.emergence(synthetic.history())


def shoot_figures(driver: Any, drawn: Iterator[tuple[str, go.Figure]]) -> None:
    """One file per figure, width and theme; plotly is loaded once."""
    page = OUT / "blank.html"
    head = '<meta charset="utf-8"><style>body{margin:0}</style><script>' + get_plotlyjs() + "</script>"
    page.write_text(f'<!doctype html>{head}<div id="plot"></div>', encoding="utf-8")
    driver.get(page.as_uri())
    for name, figure in drawn:
        for theme in THEMES:
            figure.update_layout(template=figures.template(theme))
            for width in WIDTHS:
                browser.resize(driver, width, int(figure.layout.height), theme)
                figure.update_layout(width=width)
                driver.execute_script(DRAW, figure.to_json(), PAGE[theme])
                driver.save_screenshot(str(OUT / f"{name}-{theme}-{width}.png"))
    page.unlink()


def shoot_report(driver: Any, name: str, page: Path) -> None:
    """The whole page, however long; it follows changes of width and theme by itself."""
    browser.resize(driver, WIDTHS[0])
    browser.visit(driver, page)
    for theme in THEMES:
        for width in WIDTHS:
            browser.resize(driver, width, 900, theme)
            time.sleep(0.4)  # the page waits a little before it draws anew
            browser.until(driver, browser.READY)
            height = driver.execute_script("return document.documentElement.scrollHeight")
            browser.resize(driver, width, height, theme)
            driver.save_screenshot(str(OUT / f"{name}-{theme}-{width}.png"))


def shoot_readme(driver: Any, page: Path) -> None:
    """The top of the report, as a reader first sees it."""
    README.parent.mkdir(parents=True, exist_ok=True)
    browser.resize(driver, 1000, 1640)
    browser.visit(driver, page)
    driver.save_screenshot(str(README))


def main(arguments: list[str]) -> None:
    """Take all pictures."""
    given = [Path(a) for a in arguments if not a.startswith("--")] or [ROOT / "runs" / "first" / "result.nc"]
    result = Comparison.load(given[0]) if given[0].is_file() else synthetic.comparison()
    large = synthetic.large()
    OUT.mkdir(exist_ok=True)
    reports = {"report": result, "report-large": large, "report-hostile": synthetic.hostile()}
    pages = {name: write_report(value, OUT / f"{name}.html") for name, value in reports.items()}
    with browser.chromium() as driver:
        if "--readme" in arguments:
            shoot_readme(driver, pages["report"])
        for name, page in pages.items():
            shoot_report(driver, name, page)
        shoot_figures(driver, all_figures(result, large))
    print(
        f"{len(list(OUT.glob('*.png')))} pictures in {OUT.name}/, of {given[0].name if given[0].is_file() else 'synthetic numbers'}"
    )


if __name__ == "__main__":
    if reason := browser.missing():
        sys.exit(f"no pictures: {reason}")
    main(sys.argv[1:])
