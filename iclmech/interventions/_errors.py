"""What is raised where a change to a forward pass cannot be made."""

from __future__ import annotations

from iclmech._base import ICLMechError


class InterventionError(ICLMechError, ValueError):
    """A change to a forward pass that cannot be made on this model or these prompts."""
