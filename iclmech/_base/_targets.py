"""Things given as "package.module:name", imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from ._errors import ICLMechError


class RegistryError(ICLMechError, ValueError):
    """A name that is not known, is taken, or whose target cannot be imported."""


def resolve(target: str) -> Any:
    """The object behind "package.module:name". Raises `RegistryError` where there is none."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"{target!r} cannot be imported ({error}); expected 'package.module:name'.") from error


def imported(function: Callable[..., Any] | str) -> Callable[..., Any]:
    """The function itself, imported where only its place is given."""
    return resolve(function) if isinstance(function, str) else function
