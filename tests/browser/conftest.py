"""One browser for all tests of pages; without one they are skipped, or fail where ICLMECH_REQUIRE_BROWSER=1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import chromium


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    if reason := chromium.missing():
        if chromium.required():
            pytest.fail(f"ICLMECH_REQUIRE_BROWSER=1, but {reason}")
        pytest.skip(f"no browser: {reason}")
    with chromium.chromium() as found:
        yield found
