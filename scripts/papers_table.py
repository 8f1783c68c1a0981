"""Write docs/papers.md from saved runs of `iclmech reproduce`: paper × claim × model → verdict, with number and command.

python scripts/papers_table.py runs/reproduce docs/papers.md
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import iclmech as icl
from iclmech._base import REGISTRIES, Claim
from iclmech.experiments import command_of
from iclmech.papers import ELSEWHERE, Paper, Reproduction

HEAD = """# Papers

Each paper that the toolkit covers is a command: `iclmech reproduce NAME` asks its claims here and judges each by the rule, with
the margin δ, that stands in the paper's file. *Holds*: the interval, corrected for the number of claims of the
paper (Holm), lies on the claim's side of δ. *Does not hold*: it lies on the other side. *Not shown*: neither. A claim that does not
hold here is a finding about these models, and says what would have to differ; it is no verdict on the paper, which studied others.
Runs marked *quick* take 25 CPU-seconds at most. `iclmech papers` lists the papers; {doc}`how to add one <howto/extend>`.

This page is written by `make papers` from the saved runs. Brackets: 95 % intervals, uncorrected, or the range of runs where a rule
asks for every run.
"""


def number(value: float) -> str:
    """Three digits, with a proper minus."""
    return f"{value:.3g}".replace("-", "−")


def measured(claim: Claim) -> str:
    """The number with its interval and unit, or a dash."""
    if not math.isfinite(claim.measured):
        return "–"
    ends = (
        f" [{number(claim.low)}, {number(claim.high)}]" if math.isfinite(claim.low) and claim.low < claim.high else ""
    )
    return f"{number(claim.measured)}{ends} {claim.about['unit']}".strip()


def escaped(text: str) -> str:
    """A text in a cell of a Markdown table."""
    for char in "|*_<>$`":
        text = text.replace(char, f"\\{char}")
    return " ".join(text.split())


def model_of(result: Reproduction) -> str:
    """Model and size of a run."""
    name = str((result.provenance.get("model") or {}).get("name", "")).rstrip("/").rpartition("/")[2] or "its own nets"
    return f"{name}, quick" if result.provenance["quick"] else name


def margin(claim: Claim) -> str:
    """δ with the side on which the claim lies."""
    delta, side = float(claim.about["margin"]), claim.about["side"]
    sign = {"above": "> ", "below": "< ", "within": "± "}.get(side, "")
    return f"{sign}{number(delta)}" if math.isfinite(delta) else "–"


def section(paper: Paper, runs: list[Reproduction]) -> str:
    """One paper: where it is from, its commands, its claims."""
    link = f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else ""
    lines = [
        f"## {paper.name}",
        "",
        f"*{escaped(paper.title)}*, {paper.authors}, {paper.year}, {link}. {paper.about}".strip(),
        "",
    ]
    for result in runs:
        seconds = sum(run["seconds"] for run in result.provenance["runs"].values())
        command = command_of(result, f"runs/{paper.name}") or f"iclmech reproduce {paper.name}"
        lines += [f"`{command}` ({seconds:.0f} CPU-seconds)", ""]
    lines += ["| claim | of | model | verdict | measured | δ | against |", "|---|---|---|---|---|---|---|"]
    notes: list[str] = []
    for place, claim in enumerate(paper.claims):
        for result in runs:
            row = result.judged()[place]
            mark = ""
            if row.about["note"]:
                if row.about["note"] not in notes:
                    notes.append(row.about["note"])
                mark = f" ({notes.index(row.about['note']) + 1})"
            cells = (
                claim.claim,
                claim.source,
                model_of(result),
                row.verdict + mark,
                measured(row),
                margin(row),
                row.control,
            )
            lines.append("| " + " | ".join(map(escaped, cells)) + " |")
    return (
        "\n".join(
            [*lines, "", *(f"{n}. {escaped(note[:1].upper() + note[1:])}." for n, note in enumerate(notes, 1))]
        ).rstrip()
        + "\n"
    )


def overview(found: dict[str, list[Reproduction]]) -> str:
    """A row for each paper and run: how many claims got which verdict."""
    verdicts = ("holds", "does not hold", "not shown", "quick: no claim", "not applicable")
    lines = [f"| paper | model | {' | '.join(verdicts)} |", "|---" * (2 + len(verdicts)) + "|"]
    for name, runs in found.items():
        for result in runs:
            counts = [sum(c.verdict == v for c in result.judged()) for v in verdicts]
            lines.append(f"| [{name}](#{name}) | {model_of(result)} | {' | '.join(str(n or '') for n in counts)} |")
    return "\n".join(lines) + "\n"


def page(directory: Path) -> str:
    """The whole page."""
    saved = [icl.load(path) for path in sorted(directory.glob("*/result.nc"))]
    runs = [result for result in saved if isinstance(result, Reproduction)]
    known = REGISTRIES["paper"]
    found = {
        name: sorted(
            (r for r in runs if r.paper["name"] == name), key=lambda r: (bool(r.provenance["quick"]), model_of(r))
        )
        for name in known
    }
    missing = [name for name, mine in found.items() if not mine]
    found = {name: mine for name, mine in found.items() if mine}
    stale = [
        n
        for n, mine in found.items()
        for r in mine
        if [c.claim for c in r.judged()] != [c.claim for c in known[n].claims]
    ]
    if stale:
        raise SystemExit(f"saved runs of {', '.join(stale)} have other claims than the paper's file: run them again.")
    rest = "\n".join(f"* **{system}**: {why}." for system, why in ELSEWHERE.items())
    sections = [section(known[name], mine) for name, mine in found.items()]
    parts = [HEAD, overview(found), *sections, f"## Not asked here\n\n{rest}\n"]
    if missing:
        parts.append(f"No run of {', '.join(missing)} was saved when this page was written.\n")
    return "\n".join(parts)


def main() -> None:
    """Read the runs, write the page."""
    source, target = map(Path, sys.argv[1:3])
    target.write_text(page(source), encoding="utf-8")
    sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
