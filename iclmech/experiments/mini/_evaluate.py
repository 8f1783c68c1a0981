"""What the shipped model must show, measured through the library's own front door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iclmech.models import ICLModel, load_model, weights_view

from ._abilities import KS, Patterns, Predict, accuracy_table, induction, predict_last, repeated_sequences
from ._teach import LRS, teach

REPORTED: tuple[str, ...] = (
    "mini/sentiment", "mini/sentiment-flipped", "mini/sentiment-5", "mini/topic", "mini/subjectivity", "mini/entailment",
    "mini/cluster", "mini/sentiment-symbols", "mini/topic-symbols", "mini/held-sentiment", "mini/held-subjectivity",
    "mini/held-pair", "mini/held-words", "mini/held-topic", "mini/held-quad", "mini/held-entailment",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One thing that the model should show: the measured value, what was aimed at, and whether it is met."""

    name: str
    value: float
    aim: str
    met: bool


@dataclass
class MiniEvaluation:
    """The result of `evaluate_mini`: everything is a fraction in [0, 1] unless named otherwise."""

    model: str
    accuracy: dict[str, dict[int, float]]
    heads: dict[str, Any]
    taught: dict[str, dict[str, Any]] = field(default_factory=dict)

    def targets(self) -> list[Target]:
        """The aims of icl-mini against what was measured."""
        return _targets(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, for JSON."""
        rows = {task: {str(k): value for k, value in row.items()} for task, row in self.accuracy.items()}
        return {"model": self.model, "accuracy": rows, "heads": self.heads, "taught": self.taught}

    def text(self) -> str:
        """The tables as plain text: accuracy in per cent by number of demonstrations, heads, teaching, targets."""
        ks = sorted({k for row in self.accuracy.values() for k in row})
        lines = [
            f"{self.model}: accuracy in % among the task's label words",
            f"{'task':<26}" + "".join(f"{k:>5}" for k in ks),
        ]
        lines += [f"{task:<26}" + "".join(f"{100 * row[k]:5.0f}" for k in ks) for task, row in self.accuracy.items()]
        heads = self.heads
        lines += [
            "",
            f"best head {heads['head']}: prefix matching {heads['prefix_matching']:.2f}, TransformerLens' detector "
            f"{heads['detector']:.2f} ({heads['detector_no_bos']:.2f} without BOS), copy score {heads['copy_score']:+.2f}; "
            f"repeated tokens predicted {heads['copy_accuracy']:.0%}",
        ]
        for task, row in self.taught.items():
            rates = "  ".join(f"{lr:g}" for lr in row["lr"])
            lines += ["", f"{task}, zero-shot {row['zs']:.0%}, taught by 32 demonstrations at rates {rates}"]
            lines += [
                f"  {kind:<5}" + " ".join(f"{100 * value:4.0f}" for value in row[kind]) for kind in ("gd", "lcgd")
            ]
        lines += ["", "targets"]
        lines += [f"  {'met ' if t.met else 'MISS'} {t.name}: {t.value:.2f} (aim {t.aim})" for t in self.targets()]
        return "\n".join(lines)


def evaluate_mini(
    model: str | Path | ICLModel = "icl-mini",
    n: int = 128,
    ks: Sequence[int] = KS,
    tasks: Sequence[str] = REPORTED,
    taught: Sequence[str] = ("mini/sentiment-symbols", "mini/held-pair"),
    seed: int = 0,
) -> MiniEvaluation:
    """Measure a model of icl-mini's kind: accuracies by k, induction heads, and how it is taught by gradients.

    Args:
        model: a name, a directory, or an `ICLModel` with icl-mini's tokenizer.
        n: queries per cell of the table (standard error at 80 % and 128 queries: 3.5 points).
        taught: tasks to teach by gradients; empty skips that, the slowest part.
    """
    loaded = model if isinstance(model, ICLModel) else load_model(str(model))
    table = accuracy_table(model_predict(loaded), tasks, ks, n, seed)
    lessons = {task: teach(loaded, task, LRS, seed=seed) for task in taught}
    return MiniEvaluation(loaded.name, table, head_scores(loaded, seed), lessons)


def model_predict(model: ICLModel) -> Predict:
    """`Predict` of an `ICLModel`."""

    def forward(ids: Tensor, last: Tensor) -> Tensor:
        return model.forward(ids)[torch.arange(len(ids), device=ids.device), last]

    return lambda rows: predict_last(forward, rows, model.device)


def model_patterns(model: ICLModel) -> Patterns:
    """`Patterns` of an `ICLModel`, through its hooks."""

    @torch.no_grad()
    def patterns(ids: Tensor) -> tuple[list[Tensor], Tensor]:
        found: dict[int, Tensor] = {}
        hooks = [
            ("attn_pattern", layer, lambda value, layer=layer: found.__setitem__(layer, value.detach().float().cpu()))
            for layer in range(model.shape.n_layers)
        ]
        with model.hooks(hooks):
            logits = model.forward(ids.to(model.device))
        return [found[layer] for layer in range(model.shape.n_layers)], logits.float().cpu()

    return patterns


def head_scores(model: ICLModel, seed: int = 0) -> dict[str, Any]:
    """Prefix matching of every head, and for the best one TransformerLens' detector and the copy score.

    The copy score is Σ Re λ / Σ |λ| over the eigenvalues of the head's full output circuit W_E W_V W_O W_U (Elhage et al.
    2021): +1 copies, -1 suppresses. The norms' weights are left out.
    """
    from transformer_lens.head_detector import detect_head

    found = induction(model_patterns(model), seed=seed)
    scores = torch.tensor(found["prefix_matching"])
    layer, head = divmod(int(scores.argmax()), scores.shape[1])
    view = weights_view(model)
    embed = model.hooked.embed.weight if hasattr(model.hooked.embed, "weight") else model.hooked.W_E
    circuit = view.W_O[layer, head] @ view.W_U @ embed.detach().float().cpu() @ view.W_V[layer, head]
    values = torch.linalg.eigvals(circuit)
    text = model.tokenizer.decode(repeated_sequences(1, 50, seed)[0, 1:].tolist())
    detected = [
        float(detect_head(model.hooked, text, "induction_head", exclude_bos=bos)[layer, head]) for bos in (False, True)
    ]
    return {
        "head": f"{layer}.{head}", "prefix_matching": float(scores.max()), "prefix_matching_by_head": scores.tolist(),
        "previous_token_by_head": found["previous_token"], "copy_accuracy": found["copy_accuracy"],
        "detector": detected[0], "detector_no_bos": detected[1],
        "copy_score": float(values.real.sum() / values.abs().sum()),
    }  # fmt: skip


def _targets(result: MiniEvaluation) -> list[Target]:
    out: list[Target] = []
    table = result.accuracy

    def add(name: str, value: float, aim: str, met: bool) -> None:
        out.append(Target(name, round(value, 4), aim, met))

    chance = {"mini/held-topic": 0.25, "mini/held-quad": 0.25}
    for task, level in (
        ("mini/held-pair", 0.9),
        ("mini/held-subjectivity", 0.9),
        ("mini/held-sentiment", 0.9),
        ("mini/held-words", 0.9),
        ("mini/held-topic", 0.8),
        ("mini/held-quad", 0.8),
    ):
        if task in table and {0, 8, 16} <= set(table[task]):
            row, rate = table[task], chance.get(task, 0.5)
            add(f"{task} at k=0", row[0], f"{rate:.2f} ± .1", abs(row[0] - rate) <= 0.1)
            add(f"{task} at k=8", row[8], ">= .75", row[8] >= 0.75)
            add(f"{task} at k=16", row[16], f">= {level:.2f}", row[16] >= level)
    if "mini/sentiment" in table and {0, 16} <= set(table["mini/sentiment"]):
        row = table["mini/sentiment"]
        add("mini/sentiment zero-shot", row[0], "> .6 and below 16-shot", 0.6 < row[0] < row[16])
    if "mini/sentiment-flipped" in table and {1, 2, 16, 32} <= set(table["mini/sentiment-flipped"]):
        row = table["mini/sentiment-flipped"]
        add("flipped labels, the prior at k=1 or 2", min(row[1], row[2]), "< .5", min(row[1], row[2]) < 0.5)
        add("flipped labels, the context at k=16 or 32", max(row[16], row[32]), "> .5", max(row[16], row[32]) > 0.5)
    add("prefix matching of a head", result.heads["prefix_matching"], "> .6", result.heads["prefix_matching"] > 0.6)
    for task, row in result.taught.items():
        gain = max(row["gd"]) - row["zs"]
        add(f"{task}: gain by GD at its best rate", gain, ">= .2", gain >= 0.2)
    return out
