"""What stands in for the context of a real model: `python scripts/vectors.py [OUT] [PART …]`.

Parts: words/ tasks by name (task vector, function vectors, effects of heads), and "heads" (patching, ablation, momentum, attention,
once each on words/plural). By default all. A result that is there is not made again; what each says is printed and stands in
OUT/answers.txt, the numbers in OUT/table.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import iclmech as icl

MODEL = "smollm2-135m"
TASKS = ("words/plural", "words/capitalise", "words/capital-cities")
STEER: dict[str, Any] = {
    "k": 8, "n_queries": 32, "seeds": 3, "n_fit": 8, "n_held_out": 8, "n_permutations": 2,
    "wrong_task": "words/past-tense", "strengths": (1.0,),
}  # fmt: skip
LAYERS = tuple(range(1, 30, 2))
CONTROLS = ("none", "random", "random_heads", "wrong_task", "shuffled_labels", "own")
METHODS: dict[str, dict[str, Any]] = {
    "task": {"method": "task", "layers": LAYERS},
    "distributed": {"method": "function", "variant": "distributed"},
    "sum": {"method": "function", "variant": "sum", "layers": LAYERS},
}


def of_task(model: icl.ICLModel, task: str) -> dict[str, Callable[[], Any]]:
    """The runs on one task."""
    runs: dict[str, Callable[[], Any]] = {
        name: lambda more=more: icl.steer(model, task, **STEER, **more, progress=True) for name, more in METHODS.items()
    }
    prompts = icl.build_prompts(model, icl.load_task(task), k=8, n_queries=16, n_contexts=16)
    return {**runs, "effects": lambda: icl.vectors.head_effects(model, prompts, method="verified", progress=True)}


def of_heads(model: icl.ICLModel) -> dict[str, Callable[[], Any]]:
    """Patching, ablation, momentum and attention."""
    about: Any = (model, TASKS[0])
    return {
        "patch": lambda: icl.patch(*about, k=8, n_queries=12, progress=True),
        "patch-states": lambda: icl.patch(model, TASKS[0], "resid_post", k=8, n_queries=12, progress=True),
        "allocation": lambda: icl.attention_allocation(*about, k=8, n_queries=24, n_contexts=6, progress=True),
        "momentum": lambda: icl.momentum_attention(
            *about, k=8, n_queries=24, n_contexts=6, etas=(0.005, 0.02, 0.1), draws=1, progress=True
        ),
        "heads": lambda: icl.heads_that_matter(
            *about, k=8, n_queries=24, n_contexts=6, n_score=12, shares=(0.02, 0.1), draws=2, method="verified",
            score_tasks=TASKS[1:], progress=True,
        ),
    }  # fmt: skip


def row(task: str, name: str, result: Any) -> str:
    """A line of the table: accuracy at the layer chosen on held-out queries."""
    chosen, cells = result.data["accuracy_chosen"], []
    pairs = [("zs", "none"), ("icl", "none"), *(("vector", control) for control in CONTROLS)]
    for setting, control in pairs:
        known = control in chosen["control"].values
        cells.append(f"{float(chosen.sel(setting=setting, control=control)):.2f}" if known else "–")
    layers = ", ".join(str(int(n)) for n in result.data["chosen_layer"].values)
    return f"| {task} | {name} | {layers} | {' | '.join(cells)} |"


def main(out: Path, parts: list[str]) -> None:
    """Run what is not there, then say what came out."""
    out.mkdir(parents=True, exist_ok=True)
    model = icl.load_model(MODEL)
    lines, said = [], []
    for part in parts:
        for name, run in (of_heads(model) if part == "heads" else of_task(model, part)).items():
            path = out / f"{part.replace('/', '-')}-{name}.nc"
            if not path.exists():
                run().save(path)
            result = icl.load(path)
            said.append("\n".join([f"## {part}, {name}", *result.answer(), result.claims().to_string(), ""]))
            print(said[-1], flush=True)
            lines += [row(part, name, result)] if name in METHODS else []
    (out / "answers.txt").write_text("\n".join(said))
    (out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    where, *which = sys.argv[1:] or ["runs/vectors"]
    main(Path(where), which or [*TASKS, "heads"])
