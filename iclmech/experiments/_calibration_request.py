"""What `calibration_table` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import ModelTaskRequest


@dataclass(frozen=True)
class CalibrationRequest(ModelTaskRequest):
    """What label bias costs, what calibration and self-ensembles give back."""

    k: int = 4
    """Demonstrations per prompt."""
    n_queries: int = 128
    """Queries, the same for every seed; at least 32."""
    seeds: int | tuple[int, ...] = 3
    """Draws of demonstrations: how many, or which, separated by commas."""
    methods: tuple[str, ...] = ("none", "cc", "dc", "bc", "affine")
    """none, cc, dc, bc (batch, each half from the other), affine (supervised ceiling), separated by commas."""
    n_train: int = 64
    """Training queries that the affine map is fitted on."""
    members: int = 4
    """Members of a self-ensemble; below 2 leaves them out. The control is one context of members times k demonstrations."""
    bins: int = 10
    """Bins of confidence, as many queries in each."""
    level: float = 0.95
    """Level of the intervals."""


CALIBRATION = Experiment(
    name="calibration",
    request=CalibrationRequest,
    protocol="iclmech.experiments._calibration:run_calibration",
    title="Label bias, calibration and self-ensembles, with the noise floor of every calibration error.",
    result="iclmech.experiments._calibration_result:CalibrationTable",
    figures="iclmech.figures:calibration_figures",
)
