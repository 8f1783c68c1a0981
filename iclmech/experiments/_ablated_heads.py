"""Sets of heads, and their ablation: the mean output over all tokens in the place of the output."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import np_rng
from iclmech.captures import Row, iter_run
from iclmech.interventions import EditSite, replace
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

Head = tuple[int, int]


def ranked(scores: Float[Tensor, "layer head"], leave_out: Sequence[Head] = ()) -> list[Head]:
    """All heads but those left out, the highest score first.

    >>> ranked(torch.tensor([[0.1, 0.9], [0.5, 0.2]]), leave_out=[(0, 1)])
    [(1, 0), (1, 1), (0, 0)]
    """
    width = scores.shape[1]
    order = scores.flatten().argsort(descending=True, stable=True).tolist()
    return [head for head in (divmod(at, width) for at in order) if head not in set(leave_out)]


def of_same_layers(heads: Sequence[Head], n_heads: int, seed: int, draw: int) -> list[Head]:
    """As many random heads of every layer: of its other heads, and of the given ones only where those run out."""
    generator = np_rng(seed, f"heads of the same layers {draw}")
    found: list[Head] = []
    for layer, count in sorted(Counter(layer for layer, _ in heads).items()):
        others = [h for h in range(n_heads) if (layer, h) not in set(heads)]
        own = [h for h in range(n_heads) if (layer, h) in set(heads)]
        order = [int(h) for h in (*generator.permutation(others), *generator.permutation(own))]
        found += [(layer, h) for h in order[:count]]
    return found


@torch.no_grad()
def mean_outputs(model: ICLModel, prompts: PromptSet) -> Float[Tensor, "layer head d_head"]:
    """Mean output of every head over all tokens of the prompts, BOS left out; a context counts once, as its queries do."""
    total, n = torch.zeros(model.shape.n_layers, model.shape.n_heads, model.shape.d_head, dtype=torch.float64), 0
    for c, context in enumerate(prompts.contexts):
        queries = [q for q in prompts.queries if q.context == c]
        rows = [Row(q.tokens, tuple(range(len(q.tokens)))) for q in queries]
        runs = [([prompts.bos], Row(context.tokens[1:], tuple(range(len(context.tokens) - 1))))] if len(context.tokens) > 1 else []  # fmt: skip
        for prefix, row in (*runs, *((context.tokens, row) for row in rows)):
            for chunk in iter_run(model, prefix, [row], ("z",)):
                z = chunk.values["z"].flatten(0, 1).double().cpu()
                total, n = total + z.sum(dim=0), n + len(z)
    return (total / max(n, 1)).float()


_TOKENS = ("x", "s", "y", "sep", "x_q", "s_q", "y_q")


def ablation(heads: Sequence[Head], means: Float[Tensor, "layer head d_head"], at: object = _TOKENS) -> list[EditSite]:
    """Each head's mean output in the place of its output, at all tokens but BOS (`at`: other tokens)."""
    by_layer: dict[int, list[int]] = defaultdict(list)
    for layer, head in heads:
        by_layer[layer].append(head)
    places: list[str] | None = list(at) if isinstance(at, tuple) else None
    return [replace("z", means[n, hs], layers=n, heads=hs, at=places) for n, hs in sorted(by_layer.items())]
