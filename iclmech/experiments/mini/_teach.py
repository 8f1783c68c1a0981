"""How well the model is taught by gradients: zero-shot accuracy after one epoch on 32 demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iclmech._accuracy import accuracy
from iclmech.models import ICLModel
from iclmech.tasks import build_prompts, load_task
from iclmech.updates import gradient_descent, layer_causal_gd

LRS: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def teach(
    model: ICLModel, task: str, lrs: Sequence[float] = LRS, k: int = 32, n: int = 64, contexts: int = 4, seed: int = 0
) -> dict[str, Any]:
    """Accuracy (fractions) without demonstrations, with them, and after GD or LCGD on them, at each learning rate.

    One epoch of plain SGD, batch size 1, on the key and value weights only, loss on the label; ``n``
    queries after each of ``contexts`` independent demonstration sets. A rate picked from this curve is optimistic.
    """
    total: dict[str, Any] = {"zs": 0.0, "icl": 0.0, "gd": [0.0] * len(lrs), "lcgd": [0.0] * len(lrs)}
    for number in range(contexts):
        prompts = build_prompts(model, load_task(task), k=k, n_queries=n, seed=seed + number, query_seed=seed + number)
        total["zs"] += accuracy(model, prompts, "zs") / contexts
        total["icl"] += accuracy(model, prompts, "icl") / contexts
        for name, method in (("gd", gradient_descent), ("lcgd", layer_causal_gd)):
            for index, lr in enumerate(lrs):
                with method(model, prompts, lr=lr).applied(model):
                    total[name][index] += accuracy(model, prompts, "zs") / contexts
    rounded = {name: round(total[name], 4) for name in ("zs", "icl")}
    return {
        "lr": list(lrs),
        **rounded,
        "gd": [round(v, 4) for v in total["gd"]],
        "lcgd": [round(v, 4) for v in total["lcgd"]],
    }
