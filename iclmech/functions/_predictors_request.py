"""What `compare_predictors` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass

from iclmech.experiments import Experiment

from ._function_request import FunctionRequest


@dataclass(frozen=True)
class PredictorsRequest(FunctionRequest):
    """Which algorithm answers like the learner, prefix by prefix."""

    predictors: tuple[str, ...] = ()
    """Names as in icl.functions.predictors, separated by commas (gd-64, ridge-0.5); by default those that apply."""
    second: str = "auto"
    """A learner of the same recipe and another seed, the ceiling; by default the one shipped beside the model."""
    untrained: bool = True
    """Also the model with weights drawn anew."""


COMPARE_PREDICTORS = Experiment(
    name="compare-predictors",
    request=PredictorsRequest,
    protocol="iclmech.functions._predictors_compared:run_predictors",
    title="A learner of functions beside exact predictors: error, and distance of answers, by number of examples.",
    needs=("model", "family"),
    result="iclmech.functions._predictors_compared:PredictorComparison",
    figures="iclmech.figures._by_kind:predictor_figures",
)
