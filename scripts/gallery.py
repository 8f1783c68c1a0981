"""The pictures of docs/gallery.md, from small runs on icl-mini: python scripts/gallery.py [directory of runs]

Results that stand in the directory already (runs/gallery by default) are drawn; the others are made by the commands that the
gallery prints. It needs the extra `figures` and Chromium.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import iclmech as icl

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gallery.md"


def shown(runs: Path) -> list[Path]:
    """Draw every picture that the gallery names, by the command and the figure that stand in its code."""
    made = []
    commands = {}
    for command in re.findall(r"^iclmech [^\n]+--out \S+", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        commands[command.split("--out ")[1]] = command
    for name, figure, width in re.findall(
        r'load\("runs/gallery/([\w-]+)"\).*?figure_for\(result, "([^"]+)", width=(\d+)\)',
        PAGE.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    ):
        if not (runs / name / "result.nc").is_file():
            words = shlex.split(commands[f"runs/gallery/{name}"])
            words[words.index("--out") + 1] = str(runs / name)
            subprocess.run([sys.executable, "-m", "iclmech.cli", *words[1:], "--quiet"], check=True)
        drawn = icl.figures.figure_for(icl.load(runs / name), figure, width=int(width))
        made.append(
            icl.figures.save_figure(
                drawn, PAGE.parent / "images" / "gallery" / f"{name}-{figure.replace(' ', '-')}.png", dpi=130
            )
        )
    return made


if __name__ == "__main__":
    found = shown(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "gallery")
    print(f"{len(found)} pictures in docs/images/gallery")
