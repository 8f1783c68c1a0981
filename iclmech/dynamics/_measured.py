"""What is measured of a stack: losses and accuracies by test set, attention by layer and head, mass on context labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import rng

from ._clamped_pass import Groups, logits_under, scored, watched
from ._labelled_sequences import Sequences, label_positions, stacked
from ._world import World
from ._world_net import WorldNet

MEASURES = ("label_to_item", "target_to_labels", "target_to_right", "induction")
"""Attention of a head: from a label to its own item (mean over pairs), from the query to all labels, to those of pairs with
the right label, and to these less the mean of the others."""


def fixed_sequences(
    worlds: Sequence[World], seeds: Sequence[int], tables: Sequence[Mapping[str, Tensor]], rows: int,
    test_sets: Sequence[str] = (),
) -> dict[str, Sequences]:  # fmt: skip
    """The same sequences at every evaluation, [model, row, …] for each test set; a run's depend on its seed alone."""
    found = {}
    for name in test_sets or worlds[0].test_sets:
        each = zip(worlds, seeds, tables, strict=True)
        found[name] = stacked([w.draw(t, rows, rng(seed, f"dynamics/test/{name}"), name) for w, seed, t in each])
    return found


@torch.no_grad()
def measure(
    module: WorldNet, tests: Mapping[str, Sequences], probe: str, groups: Groups = (), attention: bool = True
) -> dict[str, Any]:
    """Losses and accuracies of all test sets, and, on the `probe`, attention and label mass; lists by run."""
    loss, accuracy, found = {}, {}, {}
    for name, batch in tests.items():
        if attention and name == probe:
            logits, patterns = watched(module, batch, groups)
            found["attention"] = attention_measures(patterns, batch, module.shape.bos).tolist()
            found["label_mass"] = label_mass(logits, batch).tolist()
        else:
            logits = logits_under(module, batch, groups)
        values = scored(logits, batch)
        loss[name], accuracy[name] = values["loss"].tolist(), values["accuracy"].tolist()
    return {"loss": loss, "accuracy": accuracy, **found}


def attention_measures(
    patterns: Float[Tensor, "model layer row head query key"], batch: Sequences, bos: bool
) -> Float[Tensor, "model layer head measure"]:
    """The measures of `MEASURES`, means over rows."""
    at = label_positions(batch.labels.shape[-1], bos)
    to_item = patterns[..., at, [p - 1 for p in at]].mean((2, 4))
    to_labels = patterns[..., -1, at]
    right = batch.right[:, None, :, None].float()
    n_right, n = right.sum(-1), right.shape[-1]
    on_right = (to_labels * right).sum(-1)
    others = (to_labels.sum(-1) - on_right) / (n - n_right).clamp(min=1)
    strength = on_right / n_right.clamp(min=1) - others
    return torch.stack([to_item, to_labels.sum(-1).mean(2), on_right.mean(2), strength.mean(2)], -1)


def uniform_attention(pairs: int, bos: bool, right: float) -> dict[str, float]:
    """The measures of a head that attends to all positions alike; `right`: mean number of pairs with the right label."""
    at, length = label_positions(pairs, bos), 2 * pairs + 1 + bos
    to_item = sum(1 / (p + 1) for p in at) / pairs
    return dict(zip(MEASURES, (to_item, pairs / length, right / length, 0.0), strict=True))


def label_mass(logits: Float[Tensor, "model row label"], batch: Sequences) -> Float[Tensor, " model"]:
    """Probability on the different labels of the context; a label that stands there twice counts once."""
    there = torch.zeros_like(logits).scatter_(-1, batch.labels, 1.0)
    return (logits.softmax(-1) * there).sum(-1).mean(-1)
