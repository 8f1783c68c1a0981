"""Docstrings in the style of this project, as reStructuredText.

They are plain text with `code` in backticks, and sections such as ``Args:`` or ``Parameters`` with items ``name: text``.
Everything outside backticks is text: bars, stars and underscores in formulas must not become markup.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

_CODE = re.compile(r"(`{1,2})(.+?)\1", flags=re.DOTALL)
_SECTION = re.compile(
    r"^(Args|Arguments|Parameters|Attributes|Returns|Raises|Variables|Columns|Coordinates|Yields|Source):$"
)
_ITEM = re.compile(r"^(\*{0,2}[\w`][\w`., *]*?): (.*)$")


def inline(text: str) -> str:
    """One run of text: code stays code, everything else is escaped."""
    made, last = [], 0
    for found in _CODE.finditer(text):
        made.append(_escaped(text[last : found.start()]))
        before, after = text[: found.start()][-1:], text[found.end() :][:1]
        code = " ".join(found[2].split())
        made.append(("\\ " if before.isalnum() else "") + f"``{code}``" + ("\\ " if after.isalnum() else ""))
        last = found.end()
    return "".join(made) + _escaped(text[last:])


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|_`<>])", r"\\\1", text)


def convert(lines: list[str]) -> list[str]:
    """A docstring's lines as reStructuredText."""
    out: list[str] = []
    for block in _blocks(lines):
        out += [*block, ""]
    return out


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Paragraphs, lists, literal blocks and sections, one after the other."""
    i = 0
    while i < len(lines):
        line = lines[i]
        if not line.strip():
            i += 1
            continue
        ruled = i + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[i + 1].strip()) is not None
        if ruled or _SECTION.match(line):
            start = i + 2 if ruled else i + 1
            stop = _end(lines, start, indented=not ruled)
            yield [f"**{line.strip().rstrip(':')}**"]
            yield _items(textwrap.dedent("\n".join(lines[start:stop])).splitlines())
            i = stop
            continue
        stop = i
        while stop < len(lines) and lines[stop].strip() and not (stop > i and _SECTION.match(lines[stop])):
            stop += 1
        yield _paragraph(lines[i:stop])
        i = stop


def _end(lines: list[str], start: int, indented: bool) -> int:
    """Where a section ends: at the first line that is not indented, or (ruled sections) at the first blank line."""
    stop = start
    while stop < len(lines) and (
        lines[stop].strip() if not indented else (not lines[stop].strip() or lines[stop][0] == " ")
    ):
        stop += 1
    return stop


def _items(lines: list[str]) -> list[str]:
    """``name: text`` as a definition list; anything else as paragraphs."""
    out: list[str] = []
    entry: list[str] = []

    def flush() -> None:
        if not entry:
            return
        found = _ITEM.match(entry[0])
        if found:
            rest = textwrap.dedent("\n".join(entry[1:])).splitlines()
            out.append(_term(found[1]))
            out.extend(f"    {line}" for block in _body([found[2], *rest]) for line in [*block, ""])
        else:
            out.extend([*_paragraph(entry), ""])
        entry.clear()

    for line in lines:
        if line.strip() and not line.startswith(" "):
            flush()
        entry.append(line)
    flush()
    return out


def _body(lines: list[str]) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            if line.lstrip().startswith("* ") and blocks[-1] and not blocks[-1][0].lstrip().startswith("* "):
                blocks.append([])
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [_paragraph(block) for block in blocks if block]


def _term(names: str) -> str:
    return ", ".join(f"``{name.strip().strip('`')}``" for name in names.split(","))


def _paragraph(lines: list[str]) -> list[str]:
    """A paragraph or a list with ``*``; a first word such as ``Raises:`` is set bold."""
    lines = textwrap.dedent("\n".join(lines)).splitlines()
    if lines[0].startswith(("* ", "- ")):
        out: list[str] = []
        for entry in re.split(r"\n(?=[*-] )", "\n".join(lines)):
            out.append("* " + inline(" ".join(entry[2:].split())))
        return out
    text = inline(" ".join(" ".join(lines).split()))
    return [re.sub(r"^(Args|Raises|Returns|Source|Caveat|Columns|Note)(:| )", r"**\1**\2", text)]


def setup(app: Any) -> dict[str, bool]:
    """Hook into autodoc."""

    def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        lines[:] = convert(list(lines))

    def signature(
        app: Any, what: str, name: str, obj: Any, options: Any, text: str | None, returned: str | None
    ) -> Any:
        return (
            (text.replace("<factory>", "..."), returned) if text else None
        )  # a dataclass' default that cannot be parsed

    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
