"""What `implicit_weights` and `probe` can be asked, as plain values, and the experiments."""

from __future__ import annotations

from dataclasses import dataclass

from iclmech.experiments import Experiment

from ._function_request import FunctionRequest


@dataclass(frozen=True)
class WeightsRequest(FunctionRequest):
    """The linear function that a learner's answers imply, behind a prefix."""

    n_prompts: int = 64
    """Prompts of each seed."""
    seeds: int | tuple[int, ...] = 1
    """Draws of prompts: how many, or which, separated by commas."""
    prefixes: tuple[int, ...] = (2, 5, 10)
    """Numbers of pairs seen, separated by commas."""
    n_points: int = 24
    """Fresh points asked behind every prefix; at least 4 d."""


@dataclass(frozen=True)
class ProbeRequest(FunctionRequest):
    """What of the weights can be read off states with a linear probe, layer by layer."""

    n_prompts: int = 2000
    """Prompts: half are fitted, a quarter chooses the place, a quarter is reported."""
    seeds: int | tuple[int, ...] = 1
    """Draws of prompts: how many, or which, separated by commas."""
    prefix: int = 10
    """Pairs seen where states are read."""
    penalty: float = 0.01
    """Ridge penalty of the probe, in units of the number of prompts, on standardised states."""


IMPLICIT_WEIGHTS = Experiment(
    name="implicit-weights",
    request=WeightsRequest,
    protocol="iclmech.functions._weights_implied:run_weights",
    title="The linear function that a learner's answers imply: is there one, and whose is it?",
    needs=("model", "family"),
    result="iclmech.functions._weights_implied:ImplicitWeights",
    figures="iclmech.figures._by_kind:implied_weights_figures",
)
PROBE = Experiment(
    name="probe-weights",
    request=ProbeRequest,
    protocol="iclmech.functions._weights_probed:run_probe",
    title="Linear probes for a function's weights, by layer, with independent weights and the untrained model.",
    needs=("model", "family"),
    result="iclmech.functions._weights_probed:WeightProbe",
    figures="iclmech.figures._by_kind:weight_probe_figures",
)
