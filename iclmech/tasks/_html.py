"""What notebooks show of tasks and prompts. Every text is escaped: data are untrusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ._prompt_parts import Role, Span

_STYLE: dict[Role, str] = {
    "bos": "opacity:.6",
    "template": "background:rgba(128,128,128,.15)",
    "text": "",
    "forerunner": "background:rgba(230,159,0,.45)",
    "label": "background:rgba(0,158,115,.45);font-weight:600",
    "separator": "opacity:.6;background:rgba(86,180,233,.25)",
}
_MAX_TOKENS = 600


def plain(text: str) -> str:
    """Escaped for HTML; control characters and lone surrogates are shown as their escapes, newlines as a sign and a break."""
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
    return escape(shown, quote=True).replace("\n", "⏎<br>")


def task_html(title: str, description: str, rows: Sequence[tuple[str, str]]) -> str:
    """A title, a sentence, and a few filled templates with their answers."""
    cells = "".join(
        f"<tr><td style='text-align:left'>{plain(_cut(text))}</td>"
        f"<td style='text-align:left'><span style='{_STYLE['label']}'>{plain(_cut(answer))}</span></td></tr>"
        for text, answer in rows
    )
    head = "<tr><th style='text-align:left'>input</th><th style='text-align:left'>answer</th></tr>"
    return f"<div><code>{plain(title)}</code><p>{plain(description)}</p><table>{head}{cells}</table></div>"


def prompt_html(title: str, tokens: Sequence[int], spans: Sequence[Span], strings: Mapping[int, str]) -> str:
    """A prompt with its spans in colour, and a key to the colours. Long prompts lose their middle, and say so."""
    pieces = []
    skipped = 0
    for span in spans:
        if len(tokens) > _MAX_TOKENS and _MAX_TOKENS // 2 <= span.start < len(tokens) - _MAX_TOKENS // 2:
            skipped += span.stop - span.start
            continue
        if skipped:
            pieces.append(f"<em>… {skipped} tokens …</em>")
            skipped = 0
        text = "".join(strings.get(token, f"[{token}]") for token in tokens[span.start : span.stop])
        pieces.append(
            f"<span title='{span.role}, tokens {span.start}–{span.stop - 1}' style='{_STYLE[span.role]}'>{plain(text)}</span>"
        )
    key = " ".join(f"<span style='{style}'>{role}</span>" for role, style in _STYLE.items())
    body = "".join(pieces)
    return f"<div><code>{plain(title)}</code><p>{key}</p><div style='white-space:pre-wrap'>{body}</div></div>"


def _cut(text: str) -> str:
    return text if len(text) <= 400 else text[:399] + "…"
