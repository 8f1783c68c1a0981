"""Interventions while a net trains, or a stack of nets: the library's own objects, on all models or on some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from iclmech._base import Guard, ModelError, rng
from iclmech.interventions import Intervention, Layout, Spec, specs_of
from iclmech.models import HookFn, ICLModel

from ._network import NetConfig, Part, SmallNet

Interventions = Sequence[Intervention] | Mapping[int, Sequence[Intervention]]
"""The same for all models of a stack, or for each model its own ({model: interventions}; none for those left out)."""


@cache
def _face(config: NetConfig, d_vocab: int) -> ICLModel:
    return ICLModel(SmallNet(config, d_vocab, rng(0, "face of a small net")), "a small net")


def face_of(net: SmallNet) -> ICLModel:
    """An `ICLModel` of one net of this shape: what interventions ask about sizes and about how attention is edited.

    Its weights are random; it is made and checked once for every shape.
    """
    return _face(net.config, net.d_vocab)


def intervened(net: SmallNet, interventions: Interventions, rows: Tensor) -> Guard:
    """Put interventions in force for a `with` block, around a forward pass of these rows (and its gradients).

    A model of a stack computes what it would compute alone under its interventions, bit for bit, whatever stands beside.

    Args:
        net: a net or a stack.
        interventions: see `Interventions`.
        rows: what goes in: ids or embeddings, with a leading model axis or shared by all models. Of a pass over states
            that are made inside, any tensor of the same rows and positions, with a last axis where they are embeddings.

    Raises:
        ModelError: interventions for a model that the stack has not.
        InterventionError: an intervention that cannot be made on this net or these rows.

    >>> from iclmech.interventions import zero
    >>> from iclmech.training import NetConfig
    >>> net = SmallNet(NetConfig(n_layers=1, d_model=8, n_heads=2, d_mlp=0, n_ctx=16), 5)
    >>> ids = torch.tensor([[0, 1, 2]])
    >>> with intervened(net, [zero("attn_out")], ids):
    ...     without = net(ids)
    >>> torch.equal(without, net.model.norm(net.embed(ids)))
    True
    """
    n = net.models or 1
    each = dict(interventions) if isinstance(interventions, Mapping) else dict.fromkeys(range(n), interventions)
    if not set(each) <= set(range(n)):
        raise ModelError(f"got interventions for models {sorted(each)}; this stack has {n}, numbered from 0.")
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, mine in sorted(each.items()):
        if mine:
            groups.setdefault(tuple(map(id, mine)), []).append(number)
    wanted: list[tuple[list[int], Spec]] = []
    for members in groups.values():
        layout = _layout(net, rows, members)
        wanted += [(members, spec) for spec in specs_of(face_of(net), layout, each[members[0]])]
    return Guard(lambda guard: guard.set(net, "parts", _parts(n, wanted)))


def _parts(n: int, wanted: Sequence[tuple[Sequence[int], Spec]]) -> dict[int, list[Part]]:
    """For every layer the models with hooks at the same sites together: what is computed depends on what is watched."""
    parts: dict[int, list[Part]] = {}
    for layer in {layer for _, (_, layer, _) in wanted}:
        here = [(members, site, act) for members, (site, at, act) in wanted if at == layer]
        alike: dict[frozenset[str], list[int]] = {}
        for number in range(n):
            sites = frozenset(site for members, site, _ in here if number in members)
            alike.setdefault(sites, []).append(number)
        parts[layer] = [
            Part(tuple(models), [(site, _on(mine, models, act)) for mine, site, act in here if mine[0] in models])
            for models in alike.values()
        ]
    return parts


def _layout(net: SmallNet, rows: Tensor, members: Sequence[int]) -> Layout:
    """The rows of these models, one model after the other, each numbered as in the model alone."""
    ids = not torch.is_floating_point(rows)
    own = net.models is not None and rows.ndim == (3 if ids else 4)
    n_rows, length = rows.shape[1:3] if own else rows.shape[:2]
    tokens: tuple[tuple[int, ...] | None, ...] = (None,) * (n_rows * len(members))
    if ids:
        mine = rows[list(members)].flatten(0, 1) if own else rows
        tokens = tuple(map(tuple, mine.tolist())) * (1 if own else len(members))
    n = len(tokens)
    return Layout(0, (length,) * n, tuple(range(n_rows)) * len(members), (), tokens, (None,) * n)


def _on(members: Sequence[int], present: Sequence[int], act: HookFn) -> HookFn:
    """The hook on the rows of `members` alone, where a tensor holds those of all `present` models."""
    if len(members) == len(present):
        return act

    def on_some(tensor: Tensor) -> Tensor | None:
        by_model = tensor.unflatten(0, (len(present), -1))
        index = torch.tensor([present.index(number) for number in members], device=tensor.device)
        new = act(by_model[index].flatten(0, 1))
        if new is None:
            return None
        return by_model.index_copy(0, index, new.unflatten(0, (len(members), -1)).to(tensor.dtype)).flatten(0, 1)

    return on_some
