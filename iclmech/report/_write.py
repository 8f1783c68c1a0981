"""One self-contained page from any saved result."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
import plotly.io as pio
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from iclmech import figures
from iclmech._base import ICLMechError, Result, atomic_write, resolve
from iclmech.experiments import command_of

from ._escape import safe_script, script_json, shown
from ._page import USUAL, Caption, Page, name_of, tables_of


def write_report(result: Any, path: str | Path, *, title: str | None = None) -> Path:
    """Write one HTML file that needs no network: question, answer, figures, tables, provenance, command.

    The answer is made from the claims of the result and their controls. Every text from data, prompts, labels and names is
    escaped. The page follows the light or dark setting of its reader, prints, and works with the keyboard and at 400 px.

    Args:
        result: any result of an experiment, or what `iclmech.load` opened; or several, one part of the page each, behind a
            table of contents.
        path: the file; a missing directory is made, an existing file is replaced whole.
        title: the heading; by default model and task, or how many results there are.

    Returns:
        The path.

    Raises:
        ICLMechError: `result` is not a result, or there is none.
    """
    path = Path(path)
    text = report_html(result, title=title)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def report_html(result: Any, *, title: str | None = None) -> str:
    """The page as a string; see `write_report`."""
    results: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
    for one in results:
        if not isinstance(one, Result):
            raise ICLMechError(
                f"got {type(one).__name__}; expected a result, as an experiment returns it or iclmech.load opens it, or a list of them."
            )
    if not results:
        raise ICLMechError("got no results; expected at least one.")
    parts = [_part(one, f"r{n}-" if len(results) > 1 else "") for n, one in enumerate(results, start=1)]
    with_attention = [part for part in parts if part["attention"]]
    for part in with_attention[1:]:
        part["attention"] = None  # one view to a page
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("iclmech.report", "_templates"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    usual = parts[0]["title"] if len(parts) == 1 else f"{len(parts)} results"
    text = environment.get_template("report.html").render(
        title=shown(title) if title else usual,
        parts=parts,
        figure_data=Markup(safe_script(_figure_json([f for part in parts for f in part["figures"]]))),
        attention_data=Markup(script_json(with_attention[0]["attention"] if with_attention else None)),
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script").replace("<!--", "<\\!--")),
        style=Markup(_file("report.css")),
        script=Markup(_file("report.js")),
    )
    return only_own_scripts(text)


def _part(result: Result, prefix: str) -> dict[str, Any]:
    """What the page shows of one result; `prefix`: of its anchors."""
    page, origin, command = page_of(result), result.provenance, command_of(result)
    brief = tables_of({"In short": result.brief()})[0]
    return {
        "prefix": prefix,
        "title": _title(result),
        "question": page.question(result),
        "sentences": [shown(s) for s in result.answer()],
        "brief": brief,
        "small_print": page.small_print,
        "figures": _figures(result, page, prefix),
        "attention": page.attention(result),
        "tables": page.tables(result),
        "notes": [shown(n) for n in [*result.notes, *((origin.get("plan") or {}).get("deviations") or [])]],
        "provenance": rows(origin),
        "command": shown(command) if command else None,
        "before_command": page.before_command(result),
    }


_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def only_own_scripts(text: str) -> str:
    """The page with a policy that runs the scripts that stand in it now, by their hashes, and no other."""
    hashes = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in _SCRIPT.findall(text)]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    return text.replace("script-src 'unsafe-inline'", f"script-src {allowed}", 1)


def page_of(result: Result) -> Page:
    """The page of a result's kind, or the usual one."""
    target = getattr(result.experiment, "page", "") or getattr(type(result), "page", "")
    return resolve(target) if target else USUAL


def _title(result: Result) -> str:
    names = [name for name in (name_of(result, "model"), name_of(result, "task")) if name]
    about = "" if result.kind == "compare" else shown(result.kind).replace("-", " ")
    return ": ".join(filter(None, [" on ".join(names), about])) or shown(result.kind)


def _file(name: str) -> str:
    return resources.files("iclmech.report").joinpath("_templates", name).read_text("utf-8")


def _figures(result: Result, page: Page, prefix: str = "") -> list[dict[str, Any]]:
    """Figures with what a reader needs who cannot see them, or has not seen one before."""
    captions = page.captions(result)
    return [
        _figure(
            f"{prefix}{name}".replace(" ", "-"),
            captions.get(name) or Caption(name.replace("_", " ").capitalize()),
            figure,
        )
        for name, figure in result.figures().items()
    ]


def _figure(name: str, caption: Caption, figure: go.Figure) -> dict[str, Any]:
    layout: Any = figure.layout
    top, height = layout.margin.t, layout.height
    figure.update_layout(
        template=None,  # the page brings both templates once
        title={
            "text": layout.title.subtitle.text,
            "subtitle": None,
            "font": {"size": 12, "color": "#808080"},
        },  # the page has the heading
        margin={"t": top - 26 if top else None},
        height=height - 26 if height else None,
    )
    alt = caption.alt or f"Figure: {caption.heading}. Its numbers are in the tables below."
    return {"id": name, "heading": caption.heading, "figure": figure, "alt": alt, "how": caption.how}


def _figure_json(drawn: list[dict[str, Any]]) -> str:
    parts = [f"{script_json(f['id'])}:{pio.to_json(f['figure'], validate=False)}" for f in drawn]
    templates = [
        f'"{theme}":{pio.to_json(go.Figure(layout={"template": figures.template(theme)}))}'
        for theme in ("light", "dark")
    ]
    return f'{{"figures":{{{",".join(parts)}}},"templates":{{{",".join(templates)}}}}}'


def rows(origin: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The provenance flattened into (name, value) texts."""
    found: list[tuple[str, str]] = []
    for key, value in origin.items():
        name = f"{prefix}{shown(key)}"
        if isinstance(value, Mapping):
            found += rows(value, f"{name}.")
        elif key not in ("notes", "deviations"):
            text = shown(value) if not isinstance(value, list) else ", ".join(shown(v) for v in value)
            found.append((name, text if len(text) <= 400 else text[:400] + "…"))
    return found
