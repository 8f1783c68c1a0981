"""`train_mini`: a run from start to exported model, resumable."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from iclmech._base import ModelError, atomic_write, to_ascii_json
from iclmech.training import (
    Recipe,
    Run,
    SmallNet,
    continue_run,
    export_net,
    load_recipe,
    resume_run,
    save_run,
    save_snapshot,
    start_run,
)

from ._abilities import accuracy, induction, net_patterns, net_predict, recall_accuracy

CHECKED: tuple[tuple[str, int], ...] = (
    ("mini/sentiment-symbols", 8), ("mini/topic-symbols", 8), ("mini/held-pair", 0), ("mini/held-pair", 2),
    ("mini/held-pair", 8), ("mini/held-pair", 16), ("mini/held-quad", 8), ("mini/held-quad", 16),
    ("mini/held-words", 16),
    ("mini/topic", 0), ("mini/cluster", 0), ("mini/subjectivity", 0),
)  # fmt: skip
"""(task, demonstrations) measured at every check of a run."""
IN_WEIGHTS: tuple[str, ...] = ("topic@0", "cluster@0", "subjectivity@0")


def measure(net: SmallNet, n: int = 96, seed: int = 0) -> dict[str, Any]:
    """The abilities that a history records: accuracies (fractions), in-weights accuracy, induction scores."""
    predict = net_predict(net)
    row: dict[str, Any] = {f"{name[5:]}@{k}": round(accuracy(predict, name, k, n, seed=seed), 4) for name, k in CHECKED}
    row["in_weights"] = round(sum(row[name] for name in IN_WEIGHTS) / len(IN_WEIGHTS), 4)
    row["recall"] = round(recall_accuracy(predict, seed=seed), 4)
    found = induction(net_patterns(net), n=50, rows=8, seed=seed)
    row["prefix_matching"], row["copy_accuracy"] = found["best"], found["copy_accuracy"]
    row["previous_token"] = max(max(layer) for layer in found["previous_token"])
    return row


def train_mini(
    recipe: str | Path | Recipe = "full",
    out: str | Path = "runs/icl-mini",
    seed: int = 0,
    device: str = "auto",
    resume: bool = True,
    progress: bool = True,
    threads: int = 1,
    max_steps: int | None = None,
) -> Path:
    """Train a model of icl-mini's kind and export it.

    The recipe ``"quick"`` shows in-context learning emerge within ten minutes on one core; ``"full"`` is the shipped
    model's. An interrupted run goes on from its last check. ``max_steps`` stops after that many steps of this call.

    Returns:
        The directory of the exported model, ``out/model`` (``iclmech.load_model`` takes it); beside it
        ``checkpoints/step-N.safetensors`` and ``history.json`` with the columns of `iclmech.mini.mini_history`.

    Raises:
        TaskError: no such recipe.
        ModelError: ``out`` holds a run of another recipe or seed, or no such device.
    """
    chosen, folder = load_recipe(recipe), Path(out)
    where = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    try:
        torch.zeros(1, device=where).cpu()
    except Exception as error:  # no such device, or one that holds no numbers
        raise ModelError(f"device {device!r} is not available here; expected 'cpu', 'cuda' or 'auto'.") from error
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state.pt"
    fresh = not (resume and state.is_file())
    run = start_run(chosen, seed, where) if fresh else resume_run(state, chosen, seed, where)

    def save(run: Run) -> None:
        save_snapshot(run.module, folder / "checkpoints" / f"step-{run.step}.safetensors")
        _write_history(run, chosen, seed, folder / "history.json")
        save_run(run, state)

    continue_run(run, lambda r: measure(r.module), save, progress, max_steps)
    save(run)
    return export_net(run.module, folder / "model")


def _write_history(run: Run, recipe: Recipe, seed: int, path: Path) -> None:
    rows = [{"seed": seed, **row} for row in run.history]
    with atomic_write(path) as temporary:
        temporary.write_text(to_ascii_json({"recipe": asdict(recipe), "rows": rows}) + "\n")
