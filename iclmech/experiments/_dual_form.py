"""The change that demonstrations make to each head's linear map, beside the one that a weight update makes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray as xr
from torch import Tensor

from iclmech._base import provenance, to_ascii_json
from iclmech.analysis import circuit
from iclmech.interventions import placed, replace
from iclmech.models import HookFn, ICLModel
from iclmech.tasks import PromptSet
from iclmech.updates import WeightUpdate

from ._inference_circuit._plan import CircuitError


def dual_form(model: ICLModel, prompts: PromptSet, update: WeightUpdate, rank: int = 4, seed: int = 0) -> xr.Dataset:
    """Compare ΔW_ICL = Σ v_i k_iᵀ over the demonstrations with ΔW_FT = V' K'ᵀ - V Kᵀ over BOS and the query, head by head.

    K', V' are computed with the updated projections from the *same* inputs as K, V. The control is the update with every
    matrix redrawn at its norm. Variables (source: update, random_update; layer, head), means over queries: cosine, left,
    right (overlap of the top `rank` singular directions, values' and keys' side; chance: rank / d_head), rank_icl, rank_ft
    (effective). Attribute `keys`: "rotated" where the model shows its rotated keys, else "unrotated".

    Raises `CircuitError` for several contexts or without demonstrations.

    Source: Dai et al. (arXiv 2212.10559), Irie et al. 2022. ΔW_FT is the comparable quantity; the ΔW_K, ΔW_V themselves live
    in another space.
    """
    if len(prompts.contexts) != 1 or not prompts.demonstrations:
        raise CircuitError(
            f"got {len(prompts.contexts)} contexts and k={prompts.k}; the dual form needs one context with demonstrations."
        )
    context = prompts.contexts[0]
    keep = torch.tensor([s.role != "bos" for s in context.spans for _ in range(s.start, s.stop)])[1:]
    k, v, _ = _keys_values(model, context.tokens[1:])
    in_context = circuit.virtual_update(k[:, 1:][:, keep], v[:, 1:][:, keep])
    found: dict[str, list[dict[str, Tensor]]] = {"update": [], "random_update": []}
    for query in prompts.queries:
        k, v, inputs = _keys_values(model, query.tokens)
        for name, change in (("update", update), ("random_update", update.random_like(seed))):
            with change.applied(model):
                new_k, new_v, _ = _keys_values(model, query.tokens, inputs)
            fine_tuned = circuit.update_in_dual_form((k, v), (new_k, new_v))
            found[name].append(circuit.compare_maps(in_context, fine_tuned, rank))
    return _dataset(model, prompts, update, found, rank)


def _keys_values(model: ICLModel, tokens: Sequence[int], inputs: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Keys (rotated where shown) and values of BOS + tokens, [layer, token, head, d_head]; and the states before each block.

    With `inputs` every block reads these states instead of its own.
    """
    row, seen = [model.bos, *tokens], {name: [] for name in (_key_site(model), "v", "resid_pre")}
    given = [] if inputs is None else [replace("resid_pre", dict(enumerate(inputs)))]

    def keeper(name: str) -> HookFn:
        def keep(tensor: Tensor) -> None:
            seen[name].append(tensor[0].float())

        return keep

    layers = range(model.shape.n_layers)
    with torch.no_grad(), placed(model, given, [row]), model.hooks([(n, x, keeper(n)) for n in seen for x in layers]):
        model.forward(torch.tensor([row], device=model.device))
    k, v, resid = (torch.stack(seen[name]).cpu() for name in seen)
    k, v = (x.repeat_interleave(model.shape.n_heads // x.shape[2], dim=2) for x in (k, v))
    return k, v, resid


def _key_site(model: ICLModel) -> str:
    return "rot_k" if model.backend.point("rot_k", 0) is not None else "k"


def _dataset(
    model: ICLModel, prompts: PromptSet, update: WeightUpdate, found: dict[str, list[dict[str, Tensor]]], rank: int
) -> xr.Dataset:
    names = {"cosine": "cosine", "left": "left", "right": "right", "rank_a": "rank_icl", "rank_b": "rank_ft"}
    data = xr.Dataset(coords={"source": list(found)})
    for name, shown in names.items():
        stacked = torch.stack([torch.stack([m[name] for m in maps]).nanmean(dim=0) for maps in found.values()])
        data[shown] = (("source", "layer", "head"), stacked.double().numpy())
    data.coords["layer"], data.coords["head"] = range(data.sizes["layer"]), range(data.sizes["head"])
    origin = provenance(model=model.name, model_hash=model.hash(), prompts=prompts.hash, update=update.hash)
    keys = "rotated" if _key_site(model) == "rot_k" else "unrotated"
    return data.assign_attrs(rank=rank, chance=rank / model.shape.d_head, keys=keys, provenance=to_ascii_json(origin))
