"""The report in a real browser: silent, without a network, answering to mouse and keyboard, safe against its own data."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from figures import synthetic

from iclmech.experiments import Comparison
from iclmech.report import write_report


@pytest.fixture(scope="module")
def result() -> Comparison:
    return synthetic.comparison(n_layers=3, n_heads=4, texts=("the film was dull", "a bright film"))


@pytest.fixture(scope="module")
def page(driver: Any, result: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(result, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def opened(driver: Any, page: Path) -> Any:
    driver.get_log("browser"), driver.get_log("performance")
    chromium.resize(driver, 1000)
    chromium.visit(driver, page)
    return driver


def requests(driver: Any) -> list[str]:
    """Addresses that the page asked for since the last look; pictures that it drew itself (data:) are no requests."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith("data:")]


def choose(driver: Any, select: str, value: int) -> None:
    """Change a menu as a user does."""
    driver.execute_script(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'));",
        select,
        str(value),
    )


def test_it_opens_without_errors_and_without_a_network(opened: Any, page: Path):
    assert requests(opened) == [page.resolve().as_uri()]
    assert opened.get_log("browser") == []
    assert opened.execute_script("return document.querySelectorAll('.plot .main-svg').length") >= 4


def test_it_is_small(page: Path):
    assert page.stat().st_size <= 6 * 1024**2


@pytest.mark.parametrize("cell", [(1, 2), (2, 0), (0, 1)])
def test_hovering_a_cell_names_head_and_value(opened: Any, result: Comparison, cell: tuple[int, int]):
    from selenium.webdriver import ActionChains

    layer, head = cell
    opened.execute_script(
        "document.documentElement.style.scrollBehavior = 'auto'; document.getElementById('plot-heads').scrollIntoView()"
    )
    plot = opened.find_element("id", "plot-heads")
    x, y = opened.execute_script(
        """const g = document.getElementById("plot-heads"), l = g._fullLayout;
        return [l.xaxis._offset + l.xaxis.d2p(arguments[0]) - g.clientWidth / 2, l.yaxis._offset + l.yaxis.d2p(arguments[1]) - g.clientHeight / 2];""",
        head, layer,
    )  # fmt: skip
    ActionChains(opened).move_to_element(plot).move_to_element_with_offset(plot, round(x), round(y)).perform()
    chromium.until(
        opened,
        f"return (document.querySelector('#plot-heads .hoverlayer')?.textContent || '').includes('L{layer}H{head}')",
    )
    said = opened.execute_script("return document.querySelector('#plot-heads .hoverlayer').textContent")
    value = float(result.means["sim_am_pooled"].sel(comparison="gd", variant="trained", lr=0, layer=layer, head=head))
    assert ("masked" in said) == math.isnan(value)
    if not math.isnan(value):
        low, high = (
            result.means["sim_am_pooled_ci"]
            .sel(comparison="gd", variant="trained", lr=0, layer=layer, head=head)
            .values
        )
        assert [float(n.replace("−", "-")) for n in re.findall(r"[-−]?\d\.\d{3}", said)] == pytest.approx(
            [value, low, high], abs=6e-4
        )


@pytest.mark.parametrize(("example", "layer", "head"), [(0, 0, 0), (0, 2, 3), (1, 1, 2)])
def test_the_attention_view_shows_the_chosen_head(opened: Any, result: Comparison, example: int, layer: int, head: int):
    for name, value in (("example", example), ("layer", layer), ("head", head)):
        choose(opened, f"attention-{name}", value)
    assert opened.find_element("id", "attention-said").text.startswith(f"L{layer}H{head},")
    panes = opened.execute_script(
        "return [...document.querySelectorAll('.pane')].map(p => [...p.querySelectorAll('.words span')].map(w => [w.textContent, Number(w.dataset.share)]))"
    )
    tokens, _ = result.example_tokens(example)
    pattern = result.examples["pattern"].values[example]
    assert len(panes) == 3
    for s, words in enumerate(panes):
        there = [i for i in range(len(tokens)) if not math.isnan(pattern[s, layer, head, i])]
        assert [w for w, _ in words] == [tokens[i].replace("\n", "⏎") for i in there]
        assert [x for _, x in words] == pytest.approx([float(pattern[s, layer, head, i]) for i in there], abs=0.005)


def test_the_menus_are_reached_and_worked_with_the_keyboard(opened: Any):
    from selenium.webdriver import Keys

    choose(opened, "attention-layer", 0)
    menu = opened.find_element("id", "attention-layer")
    menu.send_keys(Keys.ARROW_DOWN)
    assert menu.get_attribute("value") == "1"
    assert opened.find_element("id", "attention-said").text.startswith("L1H")
    menu.send_keys(Keys.TAB)
    assert opened.switch_to.active_element.get_attribute("id") == "attention-head"


def test_every_figure_has_a_text_that_says_what_it_is(opened: Any):
    said = opened.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => [p.getAttribute('role'), p.getAttribute('aria-label')])"
    )
    assert len(said) >= 4
    assert all(role == "img" and len(label) > 30 for role, label in said)


@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_is_wider_than_the_window(opened: Any, width: int):
    chromium.resize(opened, width)
    chromium.until(opened, f"return document.getElementById('plot-heads')._fullLayout.width <= {width} - 24")
    chromium.until(opened, chromium.READY)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    chromium.resize(opened, 1000)


def test_it_follows_the_theme_of_its_reader(opened: Any):
    paper = "return document.getElementById('plot-heads')._fullLayout.paper_bgcolor"
    assert opened.execute_script(paper) == "#ffffff"
    chromium.resize(opened, 1000, theme="dark")
    chromium.until(opened, f"{paper} === '#14181d'")
    assert opened.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    chromium.resize(opened, 1000)
    chromium.until(opened, f"{paper} === '#ffffff'")


def test_data_that_try_to_be_code_are_shown_as_text(driver: Any, tmp_path: Path):
    page = write_report(synthetic.hostile(), tmp_path / "hostile.html")
    driver.get_log("browser"), driver.get_log("performance")
    chromium.resize(driver, 1000)
    chromium.visit(driver, page)
    body = driver.execute_script("return document.body.textContent")
    for text in (synthetic.HOSTILE, '<a href="javascript:window.hacked=1">click</a>', "⟨U+202E⟩evil"):
        assert text in body
    assert driver.execute_script("return window.hacked") is None
    assert (
        driver.execute_script("return document.querySelectorAll('a[href^=\"javascript\" i], img, textarea').length")
        == 0
    )
    assert driver.execute_script("return document.scripts.length") == 4
    assert "\u202e" not in driver.page_source
    assert requests(driver) == [page.resolve().as_uri()]
    assert driver.get_log("browser") == []
