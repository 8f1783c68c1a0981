"""What a result used to be: a table or a dataset, for one release more."""

from __future__ import annotations

from typing import Any, ClassVar


class Formerly:
    """For a result that used to be a table or a dataset: what that had still works for one release, with a warning.

    `formerly` names the attribute that holds it.
    """

    formerly: ClassVar[str] = "data"

    def _old(self, what: str) -> Any:
        import warnings

        name = type(self).__name__
        warnings.warn(f"{what} of {name} is going; use {name}.{self.formerly}.", DeprecationWarning, stacklevel=3)
        return getattr(self, self.formerly)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("groups", "kind", "formerly"):
            raise AttributeError(name)
        return getattr(self._old(f".{name}"), name)

    def __getitem__(self, key: Any) -> Any:
        return self._old(f"[{key!r}]")[key]

    def __len__(self) -> int:
        return len(self._old("len()"))
