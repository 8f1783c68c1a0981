"""The change that demonstrations make to each head's linear map, beside the one that a weight update makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import xarray as xr
from torch import Tensor

from iclmech._base import REGISTRIES, Formerly, Result, provenance, track
from iclmech.analysis import circuit
from iclmech.interventions import placed, replace
from iclmech.models import HookFn, ICLModel
from iclmech.tasks import PromptSet, build_prompts
from iclmech.updates import WeightUpdate

from ._dual_request import DUAL_FORM, DualFormRequest
from ._experiment import Given, load_task_of
from ._request import ExperimentError

if TYPE_CHECKING:
    import pandas as pd


class DualForm(Formerly, Result):
    """Each head's change of its linear map, in context and by an update.

    `data` (source: update, random_update; layer, head), means over queries: cosine, left, right (overlap of the top `rank`
    singular directions, values' and keys' side; chance: rank / d_head), rank_icl, rank_ft (effective). Attribute `keys`:
    "rotated" where the model shows its rotated keys, else "unrotated".
    """

    kind = "dual-form"
    formerly = "data"

    def summary(self) -> pd.DataFrame:
        """One row per measure and source: the mean over layers and heads. Columns: `measure`, `source`, `mean`."""
        import pandas as pd

        rows = [
            {"measure": str(name), "source": str(source), "mean": float(self.data[name].sel(source=source).mean())}
            for name in self.data.data_vars
            for source in self.data["source"].values
        ]
        return pd.DataFrame(rows, columns=["measure", "source", "mean"])


def dual_form(
    model: ICLModel | str, prompts: PromptSet, update: WeightUpdate, rank: int = 4, seed: int = 0
) -> DualForm:
    """Compare ΔW_ICL = Σ v_i k_iᵀ over the demonstrations with ΔW_FT = V' K'ᵀ - V Kᵀ over BOS and the query, head by head.

    K', V' are computed with the updated projections from the *same* inputs as K, V. The control is the update with every
    matrix redrawn at its norm.

    Args:
        model: a model or its name.
        prompts: one context with demonstrations, and queries.
        update: of this model.
        rank: singular directions that are compared.
        seed: of the random update.

    Returns:
        A `DualForm`.

    Raises:
        DualFormError: several contexts, or no demonstrations.

    Source: Dai et al. (arXiv 2212.10559), Irie et al. 2022. ΔW_FT is the comparable quantity; the ΔW_K, ΔW_V themselves live
    in another space.
    """
    given = Given()
    request = DualFormRequest(
        model=given.name("model", model, by="name"),
        task=prompts.task if isinstance(prompts.task, str) else "custom",
        k=prompts.k,
        n_queries=len(prompts.queries),
        prompts=given.name("prompts", prompts),
        update=given.name("update", update),
        rank=rank,
        seed=seed,
    )
    return DUAL_FORM.run(request, progress=False, **given.inputs)  # type: ignore[return-value]  # its result is a DualForm


class DualFormError(ExperimentError):
    """The dual form needs one context with demonstrations."""


def run_dual_form(
    request: DualFormRequest,
    *,
    progress: bool,
    model: ICLModel,
    prompts: PromptSet | None = None,
    update: WeightUpdate | None = None,
) -> DualForm:
    """Compare the maps as the request says."""
    if prompts is None:
        prompts = build_prompts(model, load_task_of(request), request.k, request.n_queries, request.prompts_seed)
    if len(prompts.contexts) != 1 or not prompts.demonstrations:
        raise DualFormError(
            f"got {len(prompts.contexts)} contexts and k={prompts.k}; the dual form needs one context with demonstrations."
        )
    learnt: WeightUpdate = update or REGISTRIES["update"][request.update](model, prompts, lr=request.lr)
    context = prompts.contexts[0]
    keep = torch.tensor([s.role != "bos" for s in context.spans for _ in range(s.start, s.stop)])[1:]
    k, v, _ = _keys_values(model, context.tokens[1:])
    in_context = circuit.virtual_update(k[:, 1:][:, keep], v[:, 1:][:, keep])
    found: dict[str, list[dict[str, Tensor]]] = {"update": [], "random_update": []}
    for query in track(prompts.queries, "dual form", enabled=progress):
        k, v, inputs = _keys_values(model, query.tokens)
        for name, change in (("update", learnt), ("random_update", learnt.random_like(request.seed))):
            with change.applied(model):
                new_k, new_v, _ = _keys_values(model, query.tokens, inputs)
            fine_tuned = circuit.update_in_dual_form((k, v), (new_k, new_v))
            found[name].append(circuit.compare_maps(in_context, fine_tuned, request.rank))
    data = _dataset(model, found, request.rank)
    origin = provenance(model={"name": model.name, "hash": model.hash()}, prompts=prompts.hash, update=learnt.hash)
    return DualForm(data, provenance=origin)


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


def _dataset(model: ICLModel, found: dict[str, list[dict[str, Tensor]]], rank: int) -> xr.Dataset:
    names = {"cosine": "cosine", "left": "left", "right": "right", "rank_a": "rank_icl", "rank_b": "rank_ft"}
    data = xr.Dataset(coords={"source": list(found)})
    for name, shown in names.items():
        stacked = torch.stack([torch.stack([m[name] for m in maps]).nanmean(dim=0) for maps in found.values()])
        data[shown] = (("source", "layer", "head"), stacked.double().numpy())
    data.coords["layer"], data.coords["head"] = range(data.sizes["layer"]), range(data.sizes["head"])
    keys = "rotated" if _key_site(model) == "rot_k" else "unrotated"
    return data.assign_attrs(rank=rank, chance=rank / model.shape.d_head, keys=keys)
