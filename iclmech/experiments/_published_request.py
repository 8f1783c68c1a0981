"""Values from papers as an experiment: nothing is run, data of the package are read."""

from __future__ import annotations

from dataclasses import dataclass

from ._experiment import Experiment
from ._request import Request


@dataclass(frozen=True)
class PublishedRequest(Request):
    """Values from papers, to stand beside one's own."""

    paper: str = "deutch2024"
    """Which: deutch2024."""


PUBLISHED = Experiment(
    name="published",
    request=PublishedRequest,
    protocol="iclmech.experiments._published:run_published",
    title="Values from papers, to stand beside one's own.",
    needs=(),
    result="iclmech.experiments._published:Published",
)
