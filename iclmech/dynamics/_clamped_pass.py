"""A forward pass of a stack in which some runs are clamped, and what is seen on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from iclmech.interventions import Layout, Spec
from iclmech.models import ICLModel
from iclmech.training import intervened

from ._clamps import Clamp, Situation, answer_from_scores
from ._labelled_sequences import Sequences
from ._world_net import WorldNet

Groups = Sequence[tuple[tuple[int, ...], tuple[Any, ...]]]
"""Runs of a stack with the same clamps, and those clamps."""


def groups_of(clamps: Sequence[tuple[Any, ...]]) -> Groups:
    """Runs together that have the same clamps; runs without any are left out."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for run, mine in enumerate(clamps):
        if mine:
            found.setdefault(mine, []).append(run)
    return [(tuple(runs), mine) for mine, runs in found.items()]


def logits_under(module: WorldNet, batch: Sequences, groups: Groups = ()) -> Float[Tensor, "model row label"]:
    """Logits of the labels at the query; runs of `groups` under their clamps, with gradients around them."""
    rows = module.embed(batch)
    given, situations = _given(module, batch, rows, groups)
    if not given:
        return module.read(module.net(rows, last=True))
    with intervened(module.net, given, rows):
        logits = module.read(module.net(rows, last=True))
    return _read_elsewhere(logits, situations, groups)


def watched(
    module: WorldNet, batch: Sequences, groups: Groups = ()
) -> tuple[Float[Tensor, "model row label"], Float[Tensor, "model layer row head query key"]]:
    """Logits, and the attention of every layer; nothing is kept for gradients."""
    with torch.no_grad():
        rows = module.embed(batch)
        free = tuple(sorted(set(range(module.models)) - {run for runs, _ in groups for run in runs}))
        everyone = [*groups, *([(free, ())] if free else [])]
        given, situations = _given(module, batch, rows, everyone)
        seen = {runs: _Watch(module.shape.layers) for runs, _ in everyone}
        for runs, _ in everyone:
            for run in runs:
                given[run] = given.get(run, []) if run != runs[0] else [*given.get(run, []), seen[runs]]
            for run in runs[1:]:
                given[run] = given[runs[0]]
        with intervened(module.net, given, rows):
            logits = module.read(module.net(rows, last=True))
        logits = _read_elsewhere(logits, situations, groups)
        order = [run for runs, _ in everyone for run in runs]
        patterns = torch.cat([seen[runs].patterns(len(runs)) for runs, _ in everyone])
        return logits, patterns[torch.tensor(order).argsort()]


def loss_under(module: WorldNet, batch: Sequences, groups: Groups = ()) -> dict[str, Tensor]:
    """Cross-entropy (nats) and accuracy of the query's label, [model]."""
    return scored(logits_under(module, batch, groups), batch)


def scored(logits: Float[Tensor, "model row label"], batch: Sequences) -> dict[str, Tensor]:
    """Mean cross-entropy (nats) and accuracy."""
    each = F.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), reduction="none")
    right = (logits.detach().argmax(-1) == batch.target).float()
    return {"loss": each.view(batch.target.shape).mean(-1), "accuracy": right.mean(-1)}


class _Watch:
    """An intervention that changes nothing and keeps the attention of every layer."""

    def __init__(self, layers: int):
        self.layers, self.seen = layers, {}

    def __call__(self, model: ICLModel, layout: Layout) -> list[Spec]:
        return [
            ("attn_pattern", layer, lambda p, at=layer: self.seen.__setitem__(at, p)) for layer in range(self.layers)
        ]

    def patterns(self, models: int) -> Float[Tensor, "model layer row head query key"]:
        """What was seen."""
        return torch.stack([self.seen[layer].unflatten(0, (models, -1)) for layer in range(self.layers)], 1)


def _given(
    module: WorldNet, batch: Sequences, rows: Tensor, groups: Groups
) -> tuple[dict[int, list[Any]], list[Situation]]:
    """Interventions by run (the same objects for a group), and what their clamps were told."""
    given: dict[int, list[Any]] = {}
    situations = []
    for runs, clamps in groups:
        now = Situation(module, runs, batch.of(runs), rows[torch.tensor(runs)])
        made: list[Any] = []
        for clamp in sorted(clamps, key=lambda c: not (isinstance(c, Clamp) and c.kind == "perfect_layer")):
            made += clamp.interventions(now) if isinstance(clamp, Clamp) else [clamp]
        if made:
            given |= dict.fromkeys(runs, made)
        situations.append(now)
    return given, situations


def _read_elsewhere(logits: Tensor, situations: Sequence[Situation], groups: Groups) -> Tensor:
    for now, (runs, clamps) in zip(situations, groups, strict=False):
        for clamp in clamps:
            if isinstance(clamp, Clamp) and clamp.kind == "copy":
                logits = logits.index_copy(0, torch.tensor(runs), answer_from_scores(clamp, now))
    return logits
