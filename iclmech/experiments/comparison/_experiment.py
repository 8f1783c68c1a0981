"""`compare` as an experiment."""

from __future__ import annotations

from .._experiment import Experiment
from ._request import CompareRequest

COMPARE = Experiment(
    name="compare",
    request=CompareRequest,
    protocol="iclmech.experiments.comparison._protocol:run",
    estimate="iclmech.experiments.comparison._cost:estimate",
    title="In-context learning beside gradient descent and layer-causal gradient descent, with controls.",
    result="iclmech.experiments.comparison._result:Comparison",
    figures="iclmech.figures:comparison_figures",
    page="iclmech.report.pages.compare:PAGE",
    stored_as="iclmech comparison",
    keeps=True,
)
