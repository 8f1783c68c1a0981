"""Templates: literal text and fields, cut into pieces so that every space stands in front of what follows it."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from iclmech._base import TaskError

from ._prompt_parts import Role, Span
from ._tokens import PieceTokenizer


@dataclass(frozen=True)
class Template:
    """A template such as `"Review: {text}\\nSentiment:"`; `{{` and `}}` stand for braces. Use `template(source)`."""

    source: str
    parts: tuple[tuple[str, str | None], ...]  # (literal, field that follows it or None)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order, each once."""
        return tuple(dict.fromkeys(name for _, name in self.parts if name is not None))

    def render(self, values: Mapping[str, str]) -> str:
        """The filled template as one string, without the label."""
        return "".join(text for _, text in self.pieces(values))

    def pieces(self, values: Mapping[str, str]) -> list[tuple[Role, str]]:
        """(role, text) of every piece that is not empty.

        Spaces at the end of a literal move to the front of the piece that follows; at the end of the template they
        vanish, as a label word brings its own. White space around a field's value is not part of the prompt.
        """
        pieces: list[tuple[Role, str]] = []
        carried = ""
        for literal, name in self.parts:
            text = carried + literal
            body = text.rstrip(" ")
            carried = text[len(body) :]
            if body:
                pieces.append(("template", body))
            if name is not None and (value := values[name].strip()):
                pieces.append(("text", carried + value))
                carried = ""
        return pieces

    def encode(self, values: Mapping[str, str], tokenizer: PieceTokenizer) -> tuple[list[int], tuple[Span, ...]]:
        """Token ids of the filled template, and spans that cover them; the last token is the forerunner.

        Both are empty if no piece yields a token. Nothing here depends on what stands before.
        """
        tokens: list[int] = []
        spans: list[Span] = []
        for i, (role, text) in enumerate(self.pieces(values)):
            ids = tokenizer.ids(text, start=i == 0)
            if ids:
                spans.append(Span(role, len(tokens), len(tokens) + len(ids)))
                tokens += ids
        if spans:
            last = spans.pop()
            if last.stop - last.start > 1:
                spans.append(Span(last.role, last.start, last.stop - 1))
            spans.append(Span("forerunner", last.stop - 1, last.stop))
        return tokens, tuple(spans)


@lru_cache(maxsize=256)
def template(source: str) -> Template:
    """Parse a template.

    Raises:
        TaskError: unbalanced braces, no field, a field without a name, a format specification, or a field "label".
    """
    how = "Write fields as {text}, and braces that are meant literally as {{ and }}."
    try:
        parsed = list(string.Formatter().parse(source))
    except ValueError as error:
        raise TaskError(f"the template {source!r} cannot be read ({error}). {how}") from error
    parts: list[tuple[str, str | None]] = []
    for literal, name, spec, conversion in parsed:
        if name is not None and (not name.isidentifier() or spec or conversion):
            got = "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "") + "}"
            raise TaskError(f"the template {source!r} has {got}; expected plain named fields. {how}")
        if name in ("label", "label_name"):
            raise TaskError(
                f"the template {source!r} has the field {{{name}}}; a label stands after the template, never inside. "
                "Leave it out: the label word is joined with one space."
            )
        if parts and parts[-1][1] is None:  # an escaped brace ends a literal; one literal is one piece
            literal = parts.pop()[0] + literal
        parts.append((literal, name))
    made = Template(source, tuple(parts))
    if not made.fields:
        raise TaskError(f"the template {source!r} has no field, so every prompt would be the same. {how}")
    return made
