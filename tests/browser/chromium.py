"""Debian's Chromium, headless and without a network, through Selenium: for the tests and for the screenshots."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


READY = "return document.documentElement.dataset.ready === 'yes'"
"""The report has drawn its figures."""


def missing() -> str:
    """Why no browser can be started; empty if one can."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (make browser)"
    return ""


def required() -> bool:
    """Whether a missing browser is a failure: ICLMECH_REQUIRE_BROWSER=1."""
    return os.environ.get("ICLMECH_REQUIRE_BROWSER") == "1"


@contextmanager
def chromium() -> Iterator[Any]:
    """A driver with an empty profile, which is deleted with it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = shutil.which("chromium") or ""
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        driver.set_page_load_timeout(240)
        driver.set_script_timeout(120)
        try:
            yield driver
        finally:
            driver.quit()


def resize(driver: Any, width: int, height: int = 900, theme: str = "light") -> None:
    """The size of the viewport and what `prefers-color-scheme` says."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def visit(driver: Any, path: Path, seconds: float = 120) -> None:
    """Open a file and wait until its figures are drawn."""
    driver.get(path.resolve().as_uri())
    until(driver, READY, seconds)


def until(driver: Any, script: str, seconds: float = 60) -> Any:
    """Run a script until it returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := driver.execute_script(script)):
        if time.monotonic() > end:
            raise TimeoutError(f"the page never came to: {script}")
        time.sleep(0.05)
    return found
