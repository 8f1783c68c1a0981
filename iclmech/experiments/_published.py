"""Values from papers, to stand beside one's own: data of the package, with their source."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import Formerly, Result, provenance

from ._published_request import PUBLISHED, PublishedRequest
from ._request import ExperimentError

if TYPE_CHECKING:
    import pandas as pd

# The paper's table: task -> SimAOU of GD and LCGD, SimAM of GD and LCGD, SimAOU of the untrained model (GD)
_DEUTCH2024_TABLE: dict[str, tuple[float, float, float, float, float]] = {
    "sst2": (0.111, 0.223, 0.150, 0.299, 0.114),
    "sst5": (0.092, 0.107, 0.308, 0.326, 0.062),
    "mr": (0.216, 0.328, 0.139, 0.263, 0.246),
    "subj": (0.177, 0.345, 0.254, 0.322, 0.202),
    "agnews": (0.308, 0.327, 0.505, 0.432, float("nan")),
    "cb": (0.205, 0.344, 0.246, 0.382, 0.012),
}
_UPDATES = ["gd", "lcgd"]
_CONTROLS = ["untrained_blocks", "layer_norm_only"]


class Published(Formerly, Result):
    """Values from a paper; `data` as `published` describes it, `provenance` with source, licence, model and k."""

    kind = "published"
    formerly = "data"

    def summary(self) -> pd.DataFrame:
        """The paper's table: one row per task and update. Columns: `task`, `update`, `sim_aou`, `sim_am`."""
        table: Any = self.data[["table_sim_aou", "table_sim_am"]].to_dataframe().reset_index()
        names = {"table_sim_aou": "sim_aou", "table_sim_am": "sim_am"}
        return table[["task", "update", *names]].rename(columns=names)


def published(name: str = "deutch2024") -> Published:
    """Published values as a labelled result.

    `"deutch2024"`: Deutch, Magar, Bar Natan, Dar, *In-context Learning and Gradient Descent Revisited* (arXiv
    2311.07772, NAACL 2024); en_dense_lm_1_3b, 24 layers, k = 32, three runs (permutations) per task and update.

    Variables of `data`:
        sim_aou, sim_am, sim_aou_random (task, update, permutation, layer): means over test examples (and heads);
            `sim_aou_random` is the published baseline, a vector uniform on [0, 1).
        sim_aou_untrained, sim_am_untrained (task, control, permutation, layer): GD on untrained models; NaN for agnews.
        table_sim_aou, table_sim_am (task, update), table_sim_aou_untrained (task): the means of the paper's table.
    Coordinates: lr (task); seed (task, permutation). Attributes: source, license, model, k.

    Raises:
        ICLMechError: an unknown name.
    """
    return PUBLISHED.run(PublishedRequest(name), progress=False)  # type: ignore[return-value]  # its result is Published


def run_published(request: PublishedRequest, *, progress: bool) -> Published:
    """Read the paper's values."""
    if request.paper != "deutch2024":
        raise ExperimentError(f"got {request.paper!r}; published values are there for 'deutch2024' only.")
    text = resources.files("iclmech.experiments").joinpath("_data", "deutch2024_layerwise.json").read_text("utf-8")
    data = _deutch2024(json.loads(text))
    return Published(data, provenance=provenance(**data.attrs))


def _deutch2024(raw: dict[str, Any]) -> xr.Dataset:
    tasks, n_layers = list(_DEUTCH2024_TABLE), len(raw["runs"][0]["sim_aou"])
    n_runs = 1 + max(run["permutation"] for run in raw["runs"])
    coords: dict[str, Any] = {
        "task": np.array(tasks, dtype=object),
        "update": np.array(_UPDATES, dtype=object),
        "control": np.array(_CONTROLS, dtype=object),
        "permutation": np.arange(n_runs),
        "layer": np.arange(n_layers),
    }
    seed, lr = np.zeros((len(tasks), n_runs), dtype=int), np.zeros(len(tasks))
    variables: dict[str, Any] = {}

    def place(variable: str, axis: str, run: dict[str, Any], kind: str, values: list[float]) -> None:
        dims = ("task", axis, "permutation", "layer")
        shape = tuple(len(coords[d]) for d in dims)
        array = variables.setdefault(variable, (dims, np.full(shape, np.nan)))[1]
        array[tasks.index(run["task"]), list(coords[axis]).index(kind), run["permutation"]] = values

    for run in raw["runs"]:
        where = tasks.index(run["task"])
        seed[where, run["permutation"]], lr[where] = run["seed"], run["lr"]
        for quantity in ("sim_aou", "sim_am", "sim_aou_random"):
            place(quantity, "update", run, run["update"], run[quantity])
    for run in raw["untrained_controls"]:
        for quantity in ("sim_aou", "sim_am"):
            place(f"{quantity}_untrained", "control", run, run["control"], run[quantity])
    table = np.array(list(_DEUTCH2024_TABLE.values()))
    variables["table_sim_aou"] = (("task", "update"), table[:, 0:2])
    variables["table_sim_am"] = (("task", "update"), table[:, 2:4])
    variables["table_sim_aou_untrained"] = (("task",), table[:, 4])
    return xr.Dataset(
        variables,
        {**coords, "lr": ("task", lr), "seed": (("task", "permutation"), seed)},
        {
            "source": "Deutch et al. 2024, arXiv 2311.07772; figures per layer: github.com/GiilDe/ft-vs-icl, artifacts/",
            "license": "Apache-2.0",
            "model": "en_dense_lm_1_3b (24 layers)",
            "k": 32,
        },
    )
