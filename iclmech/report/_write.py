"""One self-contained page from a comparison."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import plotly.graph_objects as go
import plotly.io as pio
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from iclmech import figures
from iclmech._base import ICLMechError, atomic_write
from iclmech.mini import MINI_TASKS

from ._answer import answer
from ._attention_pane import attention_payload
from ._escape import safe_script, script_json, shown
from ._provenance import command, rows
from ._tables import tables

if TYPE_CHECKING:
    from iclmech.experiments import Comparison


def write_report(result: Comparison, path: str | Path, *, title: str | None = None) -> Path:
    """Write one HTML file that needs no network: question, answer, figures, tables, provenance, command.

    The answer is three sentences made from the numbers and their controls; every claim rests on the level of seeds, and
    "no better than the untrained model" is said where that is so. Every text from data, prompts, labels and names is escaped.
    The page follows the light or dark setting of its reader, prints, and works with the keyboard and at 400 px.

    Args:
        result: what `compare` returned, or `Comparison.load` read.
        path: the file; a missing directory is made, an existing file is replaced whole.
        title: the heading; by default model and task.

    Returns:
        The path.

    Raises:
        ICLMechError: `result` is not a comparison.
    """
    for attribute in ("means", "examples", "summary", "provenance"):
        if not hasattr(result, attribute):
            raise ICLMechError(
                f"got {type(result).__name__}; expected a Comparison, as compare returns it or Comparison.load reads it."
            )
    path = Path(path)
    text = report_html(result, title=title)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def report_html(result: Comparison, *, title: str | None = None) -> str:
    """The page as a string; see `write_report`."""
    origin = result.provenance
    model, task = (shown((origin.get(k) or {}).get("name", k)) for k in ("model", "task"))
    attention = attention_payload(result)
    drawn = _figures(result)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.PackageLoader("iclmech.report", "_templates"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        title=shown(title) if title else f"{model} on {task}",
        question=_question(origin, model, task),
        sentences=answer(result),
        figures=[{k: f[k] for k in ("id", "heading", "alt", "how")} for f in drawn],
        figure_data=Markup(safe_script(_figure_json(drawn))),
        attention=attention,
        attention_data=Markup(script_json(attention)),
        tables=tables(result),
        notes=[shown(n) for n in [*result.notes, *(origin.get("plan", {}).get("deviations") or [])]],
        provenance=rows(origin),
        command=command(origin),
        shipped=task in MINI_TASKS,
        plotly=Markup(get_plotlyjs().replace("</script", "<\\/script").replace("<!--", "<\\!--")),
        style=Markup(_file("report.css")),
        script=Markup(_file("report.js")),
    )


def _file(name: str) -> str:
    return resources.files("iclmech.report").joinpath("_templates", name).read_text("utf-8")


def _question(origin: dict[str, Any], model: str, task: str) -> str:
    plan = origin.get("plan") or {}
    updates = " and ".join(figures.update_name(u) for u in plan.get("updates") or ["gradient descent"])
    return (
        f"Does what {model} does with {origin.get('k', '')} demonstrations of {task} in its context resemble what {updates} on the same "
        "demonstrations do to its weights, more than untrained models, random changes and wrong labels do?"
    )


def _figures(result: Comparison) -> list[dict[str, Any]]:
    """Figures with what a reader needs who cannot see them, or has not seen one before."""
    data = result.means
    n = data.sizes.get("layer", 0), data.sizes.get("head", 0)
    found: list[dict[str, Any]] = [
        _figure("similarity", "Similarity by layer", figures.similarity_by_layer(result),
                f"Line chart: SimAOU over {n[0]} layers, one panel per update, with controls and intervals. Its numbers are in the tables below.",
                "A thick line far above the dashed and dotted ones says that training matters; a line in the grey area says nothing. "
                "The green line, the context in another order, is as high as one can get."),
        _figure("accuracy", "Accuracy by setting", figures.accuracy_by_setting(result),
                "Dot chart: accuracy of the trained and the untrained model in every setting, with intervals. Its numbers are in the tables below.",
                "If in-context learning gains nothing over zero-shot there is nothing to compare; if an update gains nothing, it did not learn the task."),
        _figure("heads", "Similarity of attention, head by head", figures.head_map(result),
                f"Heat map: SimAM of {n[0]} layers by {n[1]} heads, one panel per update.",
                "Hover over a cell for the head, its value and interval. Grey cells are masked: there the scores do not move, so they have no direction."),
    ]  # fmt: skip
    if "rate_accuracy" in data or data.sizes.get("lr", 1) > 1:
        found.append(
            _figure("rates", "Learning rates", figures.learning_rate_curve(result),
                    "Line charts over the learning rate: similarity, accuracy after the update, and the label loss that the rate is chosen by.",
                    "Similarity depends on the learning rate: a value at one rate is one point of this curve.")
        )  # fmt: skip
    return found


def _figure(name: str, heading: str, figure: go.Figure, alt: str, how: str) -> dict[str, Any]:
    layout: Any = figure.layout
    about = layout.title.subtitle.text
    figure.update_layout(
        template=None,  # the page brings both templates once
        title={"text": about, "subtitle": None, "font": {"size": 12, "color": "#808080"}},  # the page has the heading
        margin={"t": layout.margin.t - 26},
        height=layout.height - 26,
    )
    return {"id": name, "heading": heading, "figure": figure, "alt": alt, "how": how}


def _figure_json(drawn: list[dict[str, Any]]) -> str:
    parts = [f"{script_json(f['id'])}:{pio.to_json(f['figure'], validate=False)}" for f in drawn]
    templates = [
        f'"{theme}":{pio.to_json(go.Figure(layout={"template": figures.template(theme)}))}'
        for theme in ("light", "dark")
    ]
    return f'{{"figures":{{{",".join(parts)}}},"templates":{{{",".join(templates)}}}}}'
