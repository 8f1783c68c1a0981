"""The one error of this wing."""

from __future__ import annotations

from iclmech._base import ICLMechError


class FunctionError(ICLMechError, ValueError):
    """A family, its prompts or a predictor was asked for something that it does not have."""
