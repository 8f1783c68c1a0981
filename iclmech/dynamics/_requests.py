"""What the experiments of the wing can be asked, as plain values, and the experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from iclmech.experiments import Experiment, Request

_FIGURES = "iclmech.figures"
_PAGES = "iclmech.report.pages.dynamics"


@dataclass(frozen=True)
class StackRequest(Request):
    """Runs of small nets on a world, side by side in one stack."""

    positional: ClassVar[tuple[str, ...]] = ("world",)
    world: str = "classes"
    """classes, relabelled, tasks or tokens; with knobs: "classes(bursty=0.5, zipf=1.0)"."""
    seeds: int | tuple[int, ...] = 3
    """Runs: how many, or their seeds, separated by commas."""
    steps: int = 1200
    """Training steps."""
    net: str | None = None
    """Shape of the nets, by default the world's: "net(d_model=32, heads=1, mlp=0)"."""
    lr: float | None = None
    """Learning rate of AdamW; by default the world's."""
    batch: int = 32
    """Sequences per step and run."""
    evaluate: int = 50
    """Steps between two evaluations."""
    rows: int = 256
    """Sequences of each test set."""


@dataclass(frozen=True)
class TrainRequest(StackRequest):
    """Runs of small nets on a world, measured on the way."""

    seeds: int | tuple[int, ...] = 6
    """Runs: how many, or their seeds, separated by commas."""
    losses: int = 0
    """Steps between two losses on the training mix alone; 0: with the evaluations."""


@dataclass(frozen=True)
class ClampedRequest(StackRequest):
    """Training with parts of the induction circuit given."""

    world: str = "relabelled"
    """classes, relabelled, tasks or tokens; with knobs: "relabelled(n_classes=100)"."""
    conditions: tuple[str, ...] = (
        *("none", "previous token=previous_token:0.0", "copy=copy:1.0", "perfect layer=perfect_layer:1"),
        *("perfect layer and copy=perfect_layer:1+copy:1.0", "match=match:1.0"),
    )
    """name=clamp+clamp, separated by commas; a clamp is previous_token:layer.head, match, copy, ablate, or perfect_layer:layer."""
    steps: int = 2400
    """Training steps."""
    evaluate: int = 200
    """Steps between two evaluations."""
    losses: int = 10
    """Steps between two losses on the training mix."""
    level: float = 0.2
    """Loss (nats) whose first step is reported."""


@dataclass(frozen=True)
class PhaseRequest(Request):
    """A grid over knobs of a world, every seed of every cell a run of its own."""

    positional: ClassVar[tuple[str, ...]] = ("world",)
    world: str = "classes"
    """classes, relabelled, tasks or tokens; with the knobs that are no axis."""
    axes: tuple[str, ...] = ("n_classes=128/512/2048/8192", "bursty=0.5/0.9/1.0", "zipf=0.0/1.0")
    """knob=value/value/…, separated by commas."""
    seeds: int | tuple[int, ...] = 3
    """Runs in each cell: how many, or their seeds, separated by commas."""
    steps: int = 1500
    """Training steps."""
    net: str | None = None
    """Shape of the nets, by default the world's."""
    lr: float | None = None
    """Learning rate of AdamW; by default the world's."""
    batch: int = 32
    """Sequences per step and run."""
    rows: int = 512
    """Sequences of each test set."""


@dataclass(frozen=True)
class ForgettingRequest(StackRequest):
    """Training in which the embeddings of the items are forgotten now and then."""

    world: str = "tokens(bursty=0.9)"
    """tokens, with its knobs."""
    conditions: tuple[str, ...] = (
        "none", "active=forget(every=25)", "temporary=forget(every=25; until=('unseen'; 0.95))",
    )  # fmt: skip
    """name=forget(every=steps; until=(test set; accuracy)), with semicolons inside, separated by commas."""
    steps: int = 5000
    """Training steps."""
    evaluate: int = 150
    """Steps between two evaluations, at which conditions are tested."""
    after: int = 450
    """Steps after the end of temporary forgetting at which it is judged."""


@dataclass(frozen=True)
class TasksRequest(Request):
    """Tasks that were seen and new ones, over the number of tasks in training."""

    n_tasks: tuple[int, ...] = (4, 16, 64, 256)
    """Numbers of tasks, separated by commas; 0 is a new one in every sequence."""
    world: str = "tasks"
    """tasks, with its other knobs."""
    seeds: int | tuple[int, ...] = 3
    """Runs for each number: how many, or their seeds, separated by commas."""
    steps: int = 1000
    """Training steps."""
    net: str | None = None
    """Shape of the nets, by default the world's."""
    lr: float | None = None
    """Learning rate of AdamW; by default the world's."""
    batch: int = 32
    """Sequences per step and run."""
    rows: int = 512
    """Sequences of each test set."""


@dataclass(frozen=True)
class ProgressRequest(Request):
    """Losses of the snapshots of a training, each subcircuit with the rest clamped."""

    history: str = "runs/train"
    """A saved history with its snapshots: the file or its directory."""
    measures: tuple[str, ...] = ("previous_token", "match", "copy")
    """previous_token, match, copy, composite; separated by commas."""
    test_set: str | None = None
    """The sequences; by default those that show learning in context."""
    rows: int = 256
    """How many of them."""


@dataclass(frozen=True)
class ThreeFactorRequest(Request):
    """A product of three vectors learned by gradient descent, some of them given."""

    dim: int = 20
    """Length of the vectors."""
    clamp: tuple[str, ...] = ("b", "c")
    """Which of a, b, c are given, separated by commas: each alone, and all together."""
    seeds: int | tuple[int, ...] = 20
    """Runs: how many, or their seeds, separated by commas."""
    steps: int = 1000
    """Steps of gradient descent."""
    lr: float = 1.0
    """Its rate."""
    scale: float = 0.5
    """Standard deviation of the vectors at the start; the target's is 1."""


def experiment_of(
    name: str,
    request: type[Request],
    module: str,
    title: str,
    result: str,
    figures: str,
    needs: tuple[str, ...] = (),
    keeps: bool = True,
) -> Experiment:
    """An experiment of the wing: all that is known of it lies in one module and under one name."""
    place = f"iclmech.dynamics.{module}"
    return Experiment(
        name, request, f"{place}:run", title, needs=needs, result=f"{place}:{result}", figures=f"{_FIGURES}:{figures}",
        page=f"{_PAGES}:{name.upper().replace('-', '_')}", stored_as=f"iclmech dynamics {name}", keeps=keeps,
    )  # fmt: skip


TRAIN = experiment_of(
    "train",
    TrainRequest,
    "_train",
    "How in-context learning forms while small nets are trained on a world.",
    "History",
    "formation_figures",
)
CLAMPED = experiment_of(
    "clamped",
    ClampedRequest,
    "_clamped",
    "Training with parts of the induction circuit given: what does learning wait for?",
    "Clamped",
    "clamped_figures",
)
PHASE_DIAGRAM = experiment_of(
    "phase-diagram",
    PhaseRequest,
    "_phase_diagram",
    "Memory or context? A grid over what the data are like, every seed shown.",
    "PhaseDiagram",
    "phase_figures",
)
FORGETTING = experiment_of(
    "forgetting",
    ForgettingRequest,
    "_forgetting",
    "Does forgetting the items make a net learn in context, and is it kept?",
    "Forgetting",
    "forgetting_figures",
)
TASK_DIVERSITY = experiment_of(
    "number-of-tasks",
    TasksRequest,
    "_task_diversity",
    "How many tasks must be seen before new ones are learned in context?",
    "TaskDiversity",
    "task_diversity_figures",
)
PROGRESS_MEASURES = experiment_of(
    "progress-measures",
    ProgressRequest,
    "_progress",
    "How far each part of the circuit has come, the rest given.",
    "ProgressMeasures",
    "progress_figures",
    keeps=False,
)
THREE_FACTOR = experiment_of(
    "three-factor",
    ThreeFactorRequest,
    "_three_factor",
    "Three factors that must be learned together, and fewer of them.",
    "ThreeFactor",
    "three_factor_figures",
    keeps=False,
)
