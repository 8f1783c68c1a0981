"""The protocol of `patch`: sides, states, one run with all variants, log-odds."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from iclmech._base import provenance, track
from iclmech.analysis.statistics import unit_means
from iclmech.captures import VariantActivations, capture_variants
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task
from iclmech.vectors import corrupted

from .._head_effects import own_contexts
from .._request import ExperimentError
from ._request import SETTINGS, PatchRequest
from ._result import Patch
from ._states_put_in import CONTROLS, HEADED, Side, StatesPutIn


def run_patch(request: PatchRequest, *, progress: bool, model: ICLModel, task: Task | PromptSet) -> Patch:
    """Put every state of the source into the other run."""
    _check(request)
    prompts = task if isinstance(task, PromptSet) else own_contexts(model, task, request.k, request.n_queries, request.seed)  # fmt: skip
    sides = {name: _side(prompts, name, request.seed) for name in (request.source, request.into)}
    source, into = sides[request.source], sides[request.into]
    first = not prompts.contexts[0].label_words
    ends = [_scores(model, side, [()], first)[:, 0] for side in (source, into)]
    found: dict[tuple[str, str], Tensor] = {}
    pairs = [(site, role) for site in request.sites for role in request.roles]
    for site, role in track(pairs, "patching", enabled=progress):
        states = StatesPutIn(model, source, into, site, role, request.seed)
        odds = _scores(model, into, states.edits(), first, progress) - ends[1][:, None]
        shape = (len(CONTROLS), model.shape.n_layers, *((model.shape.n_heads,) if site in HEADED else ()))
        found[site, role] = odds.unflatten(1, shape)
    data = _dataset(request, prompts, found, ends)
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": prompts.task}, prompts=[prompts.hash],
        k=prompts.k, n_queries=len(prompts.queries), source=request.source, into=request.into, level=request.level,
        odds="first token of the answer" if first else "label words", notes=prompts.meta.get("notes", []),
    )  # fmt: skip
    return Patch(data, provenance=origin)


def _check(request: PatchRequest) -> None:
    unknown = [name for name in (request.source, request.into) if name not in SETTINGS]
    if unknown or request.source == request.into:
        got = f"the setting {unknown[0]!r}" if unknown else f"source={request.source!r} and the same for into"
        raise ExperimentError(f"got {got}; expected two different ones of {', '.join(SETTINGS)}.")
    headed = {site in HEADED for site in request.sites}
    if len(headed) != 1 or not request.roles:
        raise ExperimentError(
            f"got the sites {', '.join(request.sites) or 'none'} and the roles {', '.join(request.roles) or 'none'}; expected at "
            f"least one of each, and sites that all have heads ({', '.join(HEADED)}) or all have none."
        )
    before = [role for role in request.roles if not (role.endswith("_q") or role == "query")]
    if "zs" in (request.source, request.into) and before:
        raise ExperimentError(
            f"got the role {before[0]!r} with the setting 'zs', which has no demonstrations; expected s_q, x_q or query."
        )


def _side(prompts: PromptSet, name: str, seed: int) -> Side:
    return Side(corrupted(prompts, seed) if name == "corrupted" else prompts, "zs" if name == "zs" else "icl")


def _scores(
    model: ICLModel, side: Side, variants: list, first: bool, progress: bool = False
) -> Float[Tensor, "query variant"]:
    """Log-odds of the right answer."""
    acts = capture_variants(model, side.prompts, variants, side.setting, first_token=first, progress=progress)
    return log_odds(acts, side.prompts)


def log_odds(acts: VariantActivations, prompts: PromptSet) -> Float[Tensor, "query variant"]:
    """Of the right label word against the others, or of the answer's first token against the rest of the vocabulary, in nats."""
    scores = acts.label_scores.double()
    if not scores.shape[-1]:
        log_p = acts.target_scores.double()
        return log_p - torch.log1p(-log_p.exp().clamp(max=1 - 1e-12))
    labels = torch.tensor([-1 if label is None else label for label in prompts.labels])
    right = torch.nn.functional.one_hot(labels, scores.shape[-1]).bool()[:, None].expand_as(scores)
    own = scores.masked_fill(~right, 0.0).sum(dim=-1)
    return own - scores.masked_fill(right, float("-inf")).logsumexp(dim=-1)


def _dataset(
    request: PatchRequest, prompts: PromptSet, found: dict[tuple[str, str], Tensor], ends: list[Tensor]
) -> xr.Dataset:
    """Per query, its mean with an interval, and the mean as a share of the whole way."""
    stacked = torch.stack([torch.stack([found[site, role] for role in request.roles]) for site in request.sites])
    tail = ("layer", "head") if request.sites[0] in HEADED else ("layer",)
    dims = ("site", "role", "query", "control", *tail)
    data = xr.Dataset({"regained_by_query": (dims, stacked.numpy())})
    names = {"site": list(request.sites), "role": list(request.roles), "control": list(CONTROLS)}
    numbers = {name: range(data.sizes[name]) for name in ("query", *tail)}
    data = data.assign_coords({**names, **numbers}).transpose("query", ...)
    units = np.array([query.context for query in prompts.queries])
    data["demonstrations"] = (("query",), units)
    data["log_odds"] = (("setting", "query"), torch.stack(ends).numpy())
    data = data.assign_coords(setting=["source", "into"]).squeeze([d for d in ("site", "role") if data.sizes[d] == 1])
    by_query = data["regained_by_query"]
    data["regained"] = by_query.mean("query")
    ends_of = [(1 - request.level) / 2, (1 + request.level) / 2]
    low_high = np.quantile(unit_means(by_query.values, units), ends_of, axis=0)
    data["regained_ci"] = ((*by_query.dims[1:], "bound"), np.moveaxis(low_high, 0, -1))
    way = data["log_odds"].mean("query")
    data["share"] = data["regained"] / float(way.sel(setting="source") - way.sel(setting="into"))
    return data.assign_coords(bound=["low", "high"])
