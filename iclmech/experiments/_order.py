"""`order_sensitivity`: how much predictions hang on the order of the demonstrations, in context and as an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import atomic_write, from_ascii_json, provenance, to_ascii_json, track
from iclmech.analysis import metrics
from iclmech.analysis.statistics import clustered_bootstrap
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts, load_task

from ._inference_circuit._plan import CircuitError
from ._inference_circuit._result import load_dataset
from .comparison._plan import seeds_of, updates_of

if TYPE_CHECKING:
    import pandas as pd

_KIND, _SCHEMA = "iclmech order sensitivity", 1
_TOP = 10
Runs = dict[str, list[Activations]]


class OrderSensitivity:
    """How predictions agree between settings, and how much they hang on the order of the demonstrations.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (..., bound) is the interval of `m` over seeds and queries.
            *By setting* (zs, icl, ft:<update>): accuracy, vocabulary_accuracy (the label's first token is the most probable of
            all), sensitivity_labels, sensitivity_vocabulary: the standard deviation over orders of p(token), summed over the
            label words or the vocabulary.
            *By pair* (icl~icl:reordered is the ceiling; icl~zs; icl~ft:<update>): token_overlap of the top 10, label_js,
            vocabulary_kl (nats, of ICL from the other), same_prediction.
    """

    def __init__(self, data: xr.Dataset):
        self.data = data

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, model, task, settings: where the numbers come from."""
        return from_ascii_json(self.data.attrs["provenance"])

    def summary(self) -> pd.DataFrame:
        """One row per number. Columns: `measure`, `name` (a setting or a pair), `mean`, `low`, `high`."""
        import pandas as pd

        rows = []
        for name in (str(n) for n in self.data.data_vars if not str(n).endswith("_ci")):
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

    def save(self, path: str | Path) -> Path:
        """Write one netCDF file, whole or not at all."""
        with atomic_write(path) as temporary:
            self.data.assign_attrs(kind=_KIND, schema=_SCHEMA).to_netcdf(temporary, engine="h5netcdf")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> OrderSensitivity:
        """Read what `save` wrote. Raises `FileError` for another file, a damaged one, or a newer schema."""
        return cls(load_dataset(path, _KIND, _SCHEMA, "order sensitivity"))

    def __repr__(self) -> str:
        found = {str(s): float(self.data["sensitivity_labels"].sel(setting=s)) for s in self.data["setting"].values}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        return f"OrderSensitivity(p of the label words over {self.provenance['n_orders']} orders, standard deviation: {shown})"


def order_sensitivity(
    model: ICLModel,
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
) -> OrderSensitivity:
    """Run the same demonstrations in several orders, in context and as updates, and compare what comes out.

    Parameters
    ----------
    k, n_queries: demonstrations, and queries (the same for every seed).
    n_orders: orders of the demonstrations, the drawn one first; at least 2.
    updates: "gd", "lcgd", or {name: function(model, prompts, lr=...)}; the order of the demonstrations is that of its steps.
    lr: learning rate, or one for each update.

    Raises `CircuitError` for fewer than two orders or demonstrations, or a task without label words.

    Source: Shen, Mishra, Khashabi (arXiv 2310.08540).
    """
    task = load_task(task) if isinstance(task, str) else task
    if n_orders < 2 or k < 2 or not task.label_words:
        raise CircuitError(
            f"got n_orders={n_orders}, k={k} on {task.name!r}; expected at least two orders of at least two demonstrations, "
            "and a task with label words."
        )
    found_updates = updates_of(updates, loss, parameters) if updates else {}
    rates = {name: float(lr[name] if isinstance(lr, Mapping) else lr) for name in found_updates}
    collected: dict[str, dict[str, list[Tensor]]] = {}
    hashes = []
    for seed in track(seeds_of(seeds), "orders", enabled=progress):
        prompts = build_prompts(model, task, k, n_queries, seed, separator=separator)
        hashes.append(prompts.hash)
        orders = [prompts, *(prompts.reordered(1000 * seed + n) for n in range(1, n_orders))]
        runs = _runs(model, orders, {name: (f, rates[name]) for name, f in found_updates.items()})
        for name, value in _measures(prompts, runs).items():
            for at, numbers in value.items():
                collected.setdefault(name, {}).setdefault(at, []).append(numbers)
    data = _dataset(collected, n_boot, level)
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": task.name, "hash": task.hash}, prompts=hashes,
        k=k, n_queries=n_queries, n_orders=n_orders, seeds=list(seeds_of(seeds)), lr=rates, loss=loss, level=level,
    )  # fmt: skip
    return OrderSensitivity(data.assign_attrs(provenance=to_ascii_json(origin)))


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


def _dataset(collected: dict[str, dict[str, list[Tensor]]], n_boot: int, level: float) -> xr.Dataset:
    data = xr.Dataset(coords={"bound": ["low", "high"]})
    for name, by in collected.items():
        axis = "pair" if any("~" in at for at in by) else "setting"
        values = np.stack([torch.stack(found).double().numpy() for found in by.values()], axis=-1)  # [seed, query, at]
        found = clustered_bootstrap(values, n_boot=n_boot, level=level)
        data.coords[axis] = list(by)
        data[name] = (axis, found.mean)
        data[f"{name}_ci"] = ((axis, "bound"), np.stack([found.low, found.high], axis=-1))
    return data
