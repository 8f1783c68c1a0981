"""An experiment: what it can be asked, how it is run, what its result says. Accuracy over the number of demonstrations."""

from dataclasses import dataclass

import xarray as xr

import iclmech as icl
from iclmech._base import Claim, by_interval, provenance
from iclmech.experiments import ModelTaskRequest


@dataclass(frozen=True)
class CurveRequest(ModelTaskRequest):
    """Accuracy over the number of demonstrations."""

    ks: tuple[int, ...] = (1, 4, 16)
    """Numbers of demonstrations, separated by commas."""
    n_queries: int = 64
    """Queries per seed."""
    seeds: int = 3
    """Draws of demonstrations."""


class Curve(icl.Result):
    """`data`: accuracy (k), accuracy_ci (k, bound), an interval over seeds and queries."""

    kind = "curve"

    def judged(self):
        at = self.data.isel(k=-1)
        low, high = (float(v) for v in at["accuracy_ci"].values)
        rule = "the interval of accuracy at the largest k lies above one half"
        return [
            Claim("learns in context", float(at["accuracy"]), low, high, "guessing", rule, by_interval(low, high, 0.5))
        ]


def run(request, *, progress, model, task):
    right = []
    for k in request.ks:
        prompts = [
            icl.build_prompts(model, task, k=k, n_queries=request.n_queries, seed=s) for s in range(request.seeds)
        ]
        right.append([icl.metrics.correct(icl.capture(model, p, "icl", ()), p_labels(p)).tolist() for p in prompts])
    found = [icl.statistics.clustered_bootstrap(one) for one in right]
    data = xr.Dataset(
        {
            "accuracy": ("k", [float(f.mean) for f in found]),
            "accuracy_ci": (("k", "bound"), [[float(f.low), float(f.high)] for f in found]),
        },
        {"k": list(request.ks), "bound": ["low", "high"]},
    )
    return Curve(data, provenance=provenance(model={"name": model.name}, task={"name": task.name}))


def p_labels(prompts):
    return [query.label for query in prompts.queries]


icl.register(
    "experiment",
    "curve",
    icl.Experiment("curve", CurveRequest, run, "Accuracy over the number of demonstrations.", result="own_experiment:Curve",
                   figures="own_figures:figures", page="own_page:PAGE"),
)  # fmt: skip
