"""The recorded course of a training run as an experiment: nothing is run, what was measured is read."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import Request


@dataclass(frozen=True)
class HistoryRequest(Request):
    """The measured course of training: abilities and scores of heads at every check."""

    source: str = "icl-mini"
    """icl-mini, or a history.json (or its directory) that train-mini wrote."""


TRAINING_HISTORY = Experiment(
    name="training-history",
    request=HistoryRequest,
    protocol="iclmech.experiments._history:run_history",
    title="The measured course of training: abilities and scores of heads at every check.",
    needs=(),
    result="iclmech.experiments._history:TrainingHistory",
    figures="iclmech.figures:history_figures",
)
