"""The page of the command line: every command with its flags, from the same records that the commands are made of."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any


def write(target: Path) -> None:
    """Write the page; a file that says the same already keeps its date."""
    from iclmech.cli import commands

    parts = [
        "# Commands and their flags",
        "",
        "Lists are joined by commas. Where no default stands, the text says what leaving the flag out means.",
        "",
    ]
    for name, command in commands().items():
        parts += [
            f"## iclmech {name}",
            "",
            str(command.__doc__ or "").strip(),
            "",
            "| flag | default | |",
            "|---|---|---|",
        ]
        types = typing.get_type_hints(command, include_extras=True)
        shown: Any = command  # a dataclass
        parts += [_row(f, types[f.name], _helps(shown)) for f in dataclasses.fields(shown)]
        parts.append("")
    text = "\n".join(parts) + "\n"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _helps(command: Any) -> dict[str, str]:
    """Field → the string below it, of commands that are written out as classes."""
    from iclmech.experiments._request import field_help

    try:
        return field_help(command)
    except (OSError, TypeError):
        return {}


def _row(field: Any, hint: Any, helps: dict[str, str]) -> str:
    found = next((m.help for m in _annotations(hint) if getattr(m, "help", None)), None) or helps.get(field.name, "")
    default = "" if field.default is dataclasses.MISSING else str(field.default)
    positional = "Positional" in repr(_annotations(hint)) or "positional" in repr(_annotations(hint)).lower()
    flag = f"`{field.name.upper()}`" if positional else f"`--{field.name.replace('_', '-')}`"
    shown = f"`{_cell(default)}`" if default.strip() else ""
    return f"| {flag} | {shown} | {_cell(' '.join(str(found).split()))} |"


def _annotations(hint: Any) -> tuple[Any, ...]:
    return tuple(getattr(hint, "__metadata__", ()))


def _cell(text: str) -> str:
    return text.replace("\n", "\\n").replace("|", "\\|")
