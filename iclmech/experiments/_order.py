"""`order_sensitivity`: how much predictions hang on the order of the demonstrations, in context and as an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import Cells, Claim, Result, provenance, track
from iclmech.analysis import metrics
from iclmech.analysis.statistics import two_way_interval
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts

from ._experiment import Given
from ._order_answer import answer_of, claims_of
from ._order_request import ORDER, OrderRequest
from ._request import ExperimentError, seeds_asked, seeds_of
from .comparison._plan import updates_of
from .comparison._rates import rates_of, spell_rates

if TYPE_CHECKING:
    import pandas as pd

_TOP = 10
_SHARES = ("accuracy", "vocabulary_accuracy", "token_overlap", "same_prediction")
_LIMITS = {
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    **dict.fromkeys(("label_js", "vocabulary_kl", "sensitivity_labels", "sensitivity_vocabulary"), (0.0, np.inf)),
}
Runs = dict[str, list[Activations]]


class OrderSensitivity(Result):
    """How predictions agree between settings, and how much they hang on the order of the demonstrations.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (..., bound) is the two-way interval of `m` over seeds and queries.
            *By setting* (zs, icl, ft:<update>): accuracy, vocabulary_accuracy (the label's first token is the most probable of
            all), sensitivity_labels, sensitivity_vocabulary: the standard deviation over orders of p(token), summed over the
            label words or the vocabulary.
            *By pair* (icl~icl:reordered is ICL in another order; icl~zs; icl~ft:<update>): token_overlap of the top 10,
            label_js, vocabulary_kl (nats, of ICL from the other), same_prediction, and lead, lead_p, lead_claims: how much more
            often ICL agrees with itself in another order than in this pair, paired by query.
    """

    kind = "order"

    def summary(self) -> pd.DataFrame:
        """One row per number. Columns: `measure`, `name` (a setting or a pair), `mean`, `low`, `high`."""
        import pandas as pd

        rows = []
        for name in (str(n) for n in self.data.data_vars if not str(n).endswith(("_ci", "_p", "_claims"))):
            axis = str(self.data[name].dims[0])
            for at in self.data[axis].values:
                low, high = self.data[f"{name}_ci"].sel({axis: at}).values
                rows.append(
                    {
                        "measure": name,
                        "name": str(at),
                        "mean": float(self.data[name].sel({axis: at})),
                        "low": low,
                        "high": high,
                    }
                )
        return pd.DataFrame(rows, columns=["measure", "name", "mean", "low", "high"])

    def judged(self) -> list[Claim]:
        """Whether in-context predictions agree between orders more than an update's do with them, p by Holm's correction."""
        return claims_of(self.data)

    def answer(self) -> list[str]:
        """How often ICL agrees with itself in another order, and with everything else; each verdict by the claims."""
        return answer_of(self.data)

    def __repr__(self) -> str:
        found = {str(s): float(self.data["sensitivity_labels"].sel(setting=s)) for s in self.data["setting"].values}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        return f"OrderSensitivity(p of the label words over {self.provenance['n_orders']} orders, standard deviation: {shown})"


def order_sensitivity(
    model: ICLModel | str,
    task: Task | str,
    k: int = 16,
    n_queries: int = 64,
    *,
    n_orders: int = 6,
    seeds: int | Sequence[int] = 3,
    updates: Any = (),
    lr: float | Mapping[str, float] = 0.01,
    loss: str = "label",
    parameters: Any = "attn_kv",
    separator: str | None = None,
    n_boot: int = 1000,
    level: float = 0.95,
    progress: bool = False,
    out: str | Path | None = None,
) -> OrderSensitivity:
    """Run the same demonstrations in several orders, in context and as updates, and compare what comes out.

    Args:
        model, task: what to study, or the names of both; a classification task.
        k, n_queries: demonstrations, and queries (the same for every seed).
        n_orders: orders of the demonstrations, the drawn one first; at least 2.
        seeds: draws of demonstrations: how many, or which.
        updates: "gd", "lcgd", or {name: function(model, prompts, lr=...)}; the order of the demonstrations is that of its
            steps.
        lr: learning rate, or one for each update.
        loss, parameters, separator: as in `compare`.
        level: of the intervals.
        n_boot: of no effect any more; intervals are two-way, not resampled.
        progress: show a bar on standard error.
        out: a directory in which what is finished is kept, as in `compare`.

    Returns:
        An `OrderSensitivity`.

    Raises:
        ExperimentError: fewer than two orders or demonstrations, or a task without label words.

    Source: Shen, Mishra, Khashabi (arXiv 2310.08540).
    """
    given = Given()
    request = OrderRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        k=k,
        n_queries=n_queries,
        n_orders=n_orders,
        seeds=seeds_asked(seeds),
        updates=given.named("updates", updates, "update"),
        lr=spell_rates(lr),
        loss=loss,
        parameters=given.name("parameters", parameters),
        separator=separator,
        n_boot=n_boot,
        level=level,
    )
    return ORDER.run(request, progress=progress, out=out, **given.inputs)  # type: ignore[return-value]  # an OrderSensitivity


def run_orders(
    request: OrderRequest,
    *,
    progress: bool,
    model: ICLModel,
    task: Task,
    updates: Any = None,
    parameters: Any = None,
    cells: Cells | None = None,
) -> OrderSensitivity:
    """Run the orders as the request says; `cells` hold the seeds that were finished before."""
    if request.n_orders < 2 or request.k < 2 or not task.label_words:
        raise ExperimentError(
            f"got n_orders={request.n_orders}, k={request.k} on {task.name!r}; expected at least two orders of at least two "
            "demonstrations, and a task with label words."
        )
    seeds = seeds_of(request.seeds)
    selector = request.parameters if parameters is None else parameters
    methods = updates_of(request.updates, request.loss, selector, updates or {}) if request.updates else {}
    rates = {name: grid[0] for name, grid in (rates_of(request.lr, list(methods)) or {}).items()}
    collected: dict[str, dict[str, list[Tensor]]] = {}
    hashes = []
    for seed in track(seeds, "orders", enabled=progress):
        prompts = build_prompts(model, task, request.k, request.n_queries, seed, separator=request.separator)
        hashes.append(prompts.hash)
        timed = {name: (f, rates[name]) for name, f in methods.items()}
        found = (cells or Cells()).once(f"seed {seed}", partial(_seed, model, prompts, request.n_orders, timed))
        for name, value in found.items():
            for at, numbers in value.items():
                collected.setdefault(name, {}).setdefault(at, []).append(numbers)
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=hashes,
        k=request.k, n_queries=request.n_queries, n_orders=request.n_orders, seeds=list(seeds), lr=rates,
        loss=request.loss, level=request.level,
    )  # fmt: skip
    return OrderSensitivity(_dataset(collected, request), provenance=origin)


def _seed(
    model: ICLModel, prompts: PromptSet, n_orders: int, updates: dict[str, tuple[Any, float]]
) -> dict[str, dict[str, Tensor]]:
    """The measures of one draw of demonstrations in all its orders."""
    orders = [prompts, *(prompts.reordered(1000 * prompts.seed + n) for n in range(1, n_orders))]
    return _measures(prompts, _runs(model, orders, updates))


def _runs(model: ICLModel, orders: Sequence[PromptSet], updates: dict[str, tuple[Any, float]]) -> Runs:
    """Captures by setting, one for every order (zero-shot: one)."""
    runs: Runs = {
        "zs": [capture(model, orders[0], "zs", ("logits",))],
        "icl": [capture(model, p, "icl", ("logits",)) for p in orders],
    }
    for name, (function, lr) in updates.items():
        for prompts in orders:
            with function(model, prompts, lr=lr).applied(model):
                runs.setdefault(f"ft:{name}", []).append(capture(model, prompts, "zs", ("logits",)))
    return runs


def _measures(prompts: PromptSet, runs: Runs) -> dict[str, dict[str, Tensor]]:
    """measure → setting or pair → one number per query."""
    labels = [q.label for q in prompts.queries]
    first = torch.tensor([q.target_tokens[0] if q.target_tokens else 0 for q in prompts.queries])
    out: dict[str, dict[str, Tensor]] = {}
    for setting, acts in runs.items():
        mean = {
            "accuracy": torch.stack([metrics.correct(a, labels) for a in acts]).mean(dim=0),
            "vocabulary_accuracy": torch.stack([metrics.vocabulary_accuracy(a["logits"], first) for a in acts]).mean(
                dim=0
            ),
        }
        if len(acts) > 1:
            mean["sensitivity_labels"] = metrics.order_sensitivity(torch.stack([a.label_probs for a in acts]))
            vocabulary = torch.stack([a["logits"].softmax(dim=-1) for a in acts])
            mean["sensitivity_vocabulary"] = metrics.order_sensitivity(vocabulary)
        else:
            mean |= {f"sensitivity_{n}": torch.zeros(len(labels)) for n in ("labels", "vocabulary")}
        for name, value in mean.items():
            out.setdefault(name, {})[setting] = value
    icl = runs["icl"]
    pairs = {"icl~icl:reordered": [(icl[0], other) for other in icl[1:]]}
    pairs |= {
        f"icl~{s}": list(zip(icl, acts * (len(icl) // len(acts)), strict=True))
        for s, acts in runs.items()
        if s != "icl"
    }
    for pair, both in pairs.items():
        for name, value in _agreement(both).items():
            out.setdefault(name, {})[pair] = value
    return out


def _agreement(pairs: list[tuple[Activations, Activations]]) -> dict[str, Tensor]:
    """Means over pairs of captures, one number per query."""

    def kl(a: Activations, b: Activations) -> Tensor:
        p, q = (x["logits"].double().log_softmax(dim=-1) for x in (a, b))
        return (p.exp() * (p - q)).sum(dim=-1).float()

    functions = {
        "token_overlap": lambda a, b: metrics.token_overlap(a["logits"], b["logits"], min(_TOP, a["logits"].shape[-1])),
        "label_js": metrics.label_js,
        "vocabulary_kl": kl,
        "same_prediction": lambda a, b: (a.predictions == b.predictions).float(),
    }
    return {name: torch.stack([f(a, b) for a, b in pairs]).mean(dim=0) for name, f in functions.items()}


def _dataset(collected: dict[str, dict[str, list[Tensor]]], request: OrderRequest) -> xr.Dataset:
    data = xr.Dataset(coords={"bound": ["low", "high"]})
    for name, by in collected.items():
        axis = "pair" if any("~" in at for at in by) else "setting"
        values = np.stack([torch.stack(found).double().numpy() for found in by.values()], axis=-1)  # [seed, query, at]
        data.coords[axis] = list(by)
        found = two_way_interval(values, level=request.level, limits=_LIMITS.get(name))
        data[name] = ((axis,), values.mean(axis=(0, 1)))
        data[f"{name}_ci"] = ((axis, "bound"), np.stack([found.low, found.high], axis=-1))
        if name == "same_prediction":
            lead = two_way_interval(values[..., :1] - values, level=request.level, limits=(-1.0, 1.0))
            data["lead"] = ((axis,), lead.mean)
            data["lead_ci"] = ((axis, "bound"), np.stack([lead.low, lead.high], axis=-1))
            data["lead_p"], data["lead_claims"] = ((axis,), lead.p), ((axis,), lead.claims.astype(np.int8))
    return data
