"""Notebooks inside the documentation: copies of the executed ones where `make notebooks` has left some, else as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

_PLOTLY = "application/vnd.plotly.v1+json"
_SCRIPT = "plotly.min.js"


def copy(sources: Path, executed: Path, target: Path) -> list[str]:
    """Put every notebook into `target`; return the scripts that their outputs need."""
    target.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in sources.glob("*.ipynb"))
    for stale in target.glob("*.ipynb"):
        if stale.name not in names:
            stale.unlink()
    with_figures = False
    for name in names:
        plain, run = sources / name, executed / name
        path = run if run.is_file() and _same_code(plain, run) else plain
        notebook = json.loads(path.read_text(encoding="utf-8"))
        with_figures |= _embed_figures(notebook)
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        if not (target / name).is_file() or (target / name).read_text(encoding="utf-8") != text:
            (target / name).write_text(text, encoding="utf-8")
    return [_SCRIPT] if with_figures else []


def scripts(folder: Path) -> Path:
    """A folder with plotly's own script, from the installed package."""
    import plotly

    folder.mkdir(parents=True, exist_ok=True)
    source = Path(plotly.__file__).parent / "package_data" / _SCRIPT
    if not (folder / _SCRIPT).is_file():
        shutil.copy(source, folder / _SCRIPT)
    return folder


def _same_code(a: Path, b: Path) -> bool:
    """Whether two notebooks have the same cells, whatever their outputs."""
    cells = [[cell["source"] for cell in json.loads(p.read_text(encoding="utf-8"))["cells"]] for p in (a, b)]
    return [_joined(c) for c in cells[0]] == [_joined(c) for c in cells[1]]


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _embed_figures(notebook: dict[str, Any]) -> bool:
    """Drop what went to standard error; plotly outputs as HTML for the page's own script. Whether there was a figure."""
    found = False
    for number, cell in enumerate(notebook["cells"]):
        cell["outputs"] = [o for o in cell.get("outputs", []) if o.get("name") != "stderr"]
        for output in cell["outputs"]:
            figure = output.get("data", {}).get(_PLOTLY)
            if figure is not None:
                output["data"] = {"text/html": _figure(f"figure-{number}", figure)}
                found = True
        if cell["cell_type"] != "code":
            del cell["outputs"]
    return found


def _figure(name: str, figure: dict[str, Any]) -> str:
    """A place for a figure, and a script that fills it once plotly has been read (at the end of the page)."""
    parts = [figure["data"], figure["layout"], {"responsive": True, "displaylogo": False}]
    drawn = ", ".join(json.dumps(part).replace("</", "<\\/") for part in parts)
    height = figure["layout"].get("height", 400)
    return (
        f'<div class="plotly-figure" id="{name}" style="height:{height}px"></div>'
        f'<script>window.addEventListener("DOMContentLoaded", () => Plotly.newPlot("{name}", {drawn}));</script>'
    )
