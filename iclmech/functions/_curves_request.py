"""What `out_of_distribution`, `regret`, `task_diversity`, `ngram_heads` and `pasting` can be asked, as plain values, and the experiments."""

from __future__ import annotations

from dataclasses import dataclass

from iclmech.experiments import Experiment

from ._function_request import FunctionRequest


@dataclass(frozen=True)
class ShiftRequest(FunctionRequest):
    """Error by number of examples on prompts that training never showed."""

    n_prompts: int = 128
    """Prompts of each seed."""
    changes: tuple[str, ...] = ("none", "scaled-0.5", "scaled-2", "orthogonal", "other_quadrant", "shuffled_y")
    """What is done to the prompts, separated by commas."""


@dataclass(frozen=True)
class RegretRequest(FunctionRequest):
    """How many nats a learner loses against whoever knows the function."""

    second: str = "auto"
    """A learner of the same recipe and another seed."""


@dataclass(frozen=True)
class DiversityRequest(FunctionRequest):
    """A learner of a pool of tasks: does it remember them, or learn regression?"""

    model: str = "fn-pool8"
    """Learners, separated by commas, each of one of the pools."""
    family: str = "LinearRegression(d=5, noise=0.5)"
    """What the pools are drawn from, and fresh tasks come from."""
    pools: tuple[int, ...] = (8,)
    """Sizes of the pools, one for each learner."""


@dataclass(frozen=True)
class NgramRequest(FunctionRequest):
    """Which heads attend to what followed the last symbols before."""

    model: str = "fn-automata"
    """A learner of strings."""
    family: str = "Automata()"
    """A family of symbols."""
    n_prompts: int = 32
    """Prompts of each seed."""
    n_examples: int = 80
    """Symbols in a prompt."""
    seeds: int | tuple[int, ...] = 1
    """Draws of prompts: how many, or which, separated by commas."""
    orders: tuple[int, ...] = (1, 2)
    """How many symbols must be the same, separated by commas."""


@dataclass(frozen=True)
class PastingRequest(FunctionRequest):
    """Upper layers of a learner, frozen, behind a read-in that is trained for another family."""

    model: str = "fn-representation"
    """The learner whose layers are taken."""
    family: str = "LinearRegression(d=5, noise=0.5)"
    """What they are asked, through the new read-in."""
    layers: int = 2
    """How many of them."""
    steps: int = 400
    """Steps that the read-in is trained for, with 64 prompts each."""
    seeds: int | tuple[int, ...] = 3
    """Read-ins: how many, or which, separated by commas."""


OUT_OF_DISTRIBUTION = Experiment(
    name="out-of-distribution",
    request=ShiftRequest,
    protocol="iclmech.functions._shifted:run_shifts",
    title="A learner on prompts of another distribution, beside the same exact predictor.",
    needs=("model", "family"),
    result="iclmech.functions._shifted:Shifted",
    figures="iclmech.figures._by_kind:shifted_figures",
)
REGRET = Experiment(
    name="regret",
    request=RegretRequest,
    protocol="iclmech.functions._regret:run_regret",
    title="Cumulative log-loss of a learner above that of the function itself.",
    needs=("model", "family"),
    result="iclmech.functions._regret:Regret",
    figures="iclmech.figures._by_kind:regret_figures",
)
TASK_DIVERSITY = Experiment(
    name="task-diversity",
    request=DiversityRequest,
    protocol="iclmech.functions._diversity:run_diversity",
    title="Learners of pools of tasks: nearer to the posterior over the pool, or to ridge?",
    needs=("family",),
    result="iclmech.functions._diversity:TaskDiversity",
    figures="iclmech.figures._by_kind:diversity_figures",
)
NGRAM_HEADS = Experiment(
    name="ngram-heads",
    request=NgramRequest,
    protocol="iclmech.functions._ngram_heads:run_heads",
    title="Heads that attend to what followed the same symbols before, and what the ideal pattern keeps of them.",
    needs=("model", "family"),
    result="iclmech.functions._ngram_heads:NgramHeads",
    figures="iclmech.figures._by_kind:ngram_figures",
)
PASTING = Experiment(
    name="pasting",
    request=PastingRequest,
    protocol="iclmech.functions._pasting:run_pasting",
    title="Upper layers of one learner on a fresh read-in: do they do regression by themselves?",
    needs=("model", "family"),
    result="iclmech.functions._pasting:Pasting",
    figures="iclmech.figures._by_kind:pasting_figures",
)
