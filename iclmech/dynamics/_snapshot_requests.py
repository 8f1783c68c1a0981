"""What can be asked of the snapshots of a training, as plain values, and the experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from iclmech.experiments import ModelTaskRequest, Request

from ._requests import experiment_of


@dataclass(frozen=True)
class SimilarityRequest(Request):
    """In-context learning beside gradient descent, snapshot by snapshot."""

    positional: ClassVar[tuple[str, ...]] = ("source",)
    source: str = "icl-mini"
    """icl-mini, or a saved history with its snapshots: the file or its directory."""
    task: str | None = None
    """For icl-mini; by default mini/topic-symbols. A history has its own, in the words of its snapshots."""
    steps: tuple[int, ...] = ()
    """Snapshots, by default all."""
    runs: int = 3
    """Of a history: how many of its runs, the first ones."""
    k: int = 8
    """Demonstrations per prompt."""
    n_queries: int = 32
    """Queries, the same for every seed."""
    updates: tuple[str, ...] = ("gd", "lcgd")
    """Updates, separated by commas: gd, lcgd, or a registered one."""
    seeds: int | tuple[int, ...] = 5
    """Draws of demonstrations: how many, or which, separated by commas."""
    lr: float | str = 0.01
    """The same at every snapshot: a number, gd=0.01,lcgd=0.03, or auto, which chooses anew at each."""
    label_specific: bool = True
    """Measure what the right labels add to the similarity: about 20 more updates for each update and seed."""


@dataclass(frozen=True)
class LeadRequest(Request):
    """When a clamp elicits an ability, and when it shows by itself."""

    history: str = "runs/train"
    """A saved history with its snapshots: the file or its directory."""
    clamps: tuple[str, ...] = ("match", "previous_token", "previous_token+match")
    """clamp+clamp, separated by commas; without :layer.head those heads are taken that do this at the last snapshot."""
    level: float = 0.8
    """Accuracy at which an ability is said to be there."""
    test_set: str | None = None
    """The sequences; by default those that show learning in context."""
    rows: int = 256
    """How many of them."""


@dataclass(frozen=True)
class SupportiveRequest(ModelTaskRequest):
    """Training on top, on the sequences whose gradients agree most with that of in-context learning."""

    model: str = "icl-mini@step-3500"
    """A shipped model or a snapshot of its training, a directory in Hugging Face format, or a name on the hub."""
    task: str = "mini/topic-symbols"
    """A shipped task, a directory or a file of records: whose prompts are to be supported."""
    k: int = 8
    """Demonstrations per prompt."""
    n_prompts: int = 48
    """Prompts whose mean loss gives the gradient; as many others are measured."""
    n_candidates: int = 240
    """Training sequences that are scored, of icl-mini's mixture, as many of each part."""
    length: int = 128
    """Tokens of each."""
    chosen: int = 32
    """Sequences of each set."""
    steps: int = 12
    """Training steps on each set, 8 sequences a step."""
    lr: float = 0.0005
    """Learning rate of AdamW."""
    seeds: int | tuple[int, ...] = 3
    """Draws of candidates, prompts and random sets: how many, or which, separated by commas."""


SIMILARITY = experiment_of(
    "similarity-over-training",
    SimilarityRequest,
    "_similarity",
    "When does in-context learning begin to look like gradient descent?",
    "SimilarityOverTraining",
    "likeness_figures",
)
HIDDEN_LEAD = experiment_of(
    "hidden-lead",
    LeadRequest,
    "_hidden_lead",
    "How long before it shows is an ability there, if a part of the circuit is given?",
    "HiddenLead",
    "lead_figures",
    keeps=False,
)
SUPPORTIVE = experiment_of(
    "supportive",
    SupportiveRequest,
    "_supportive",
    "Which training sequences support in-context learning?",
    "Supportive",
    "supportive_figures",
    needs=("model", "task"),
)
