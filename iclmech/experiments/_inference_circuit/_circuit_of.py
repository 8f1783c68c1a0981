"""`inference_circuit`: the Python face of the experiment, objects welcome."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._experiment import Given
from .._request import seeds_of
from ._plan import Reference, Window
from ._request import BYPASSES, CIRCUIT, EDGES, CircuitRequest
from ._result import Circuit

if TYPE_CHECKING:
    from iclmech.models import ICLModel
    from iclmech.tasks import Task


def inference_circuit(
    model: ICLModel | str,
    task: Task | str,
    k: int = 32,
    n_queries: int = 128,
    *,
    n_contexts: int = 4,
    seeds: int | Sequence[int] = 3,
    edges: Sequence[str] = (*EDGES, *BYPASSES),
    windows: Sequence[Window] | None = None,
    n_held_out: int = 64,
    reference: Reference | None = None,
    untrained: bool = True,
    separator: str | None = None,
    selection: Any = "random",
    n_boot: int = 1000,
    level: float = 0.95,
    progress: bool = False,
    out: str | Path | None = None,
) -> Circuit:
    """Measure the three steps of the inference circuit, and cut each of them, against controls.

    1. *Summarize*: at the forerunner s the state encodes the input x. 2. *Semantics merge*: s → label y. 3. *Retrieval and
    copy*: the query's forerunner s_q attends to labels of alike demonstrations. States and attention are measured in the
    intact (and an untrained) model; then the edges of each step are cut in a window of layers, and the accuracy lost is
    held against two controls: as many random edges of the same destinations, and other edges of the same attention mass.
    The window of each edge is chosen on other contexts, with queries from the training examples.

    Args:
        model, task: what to study, or the names of both; a classification task.
        k, n_queries, n_contexts, seeds: demonstrations; queries and demonstration sets per seed; seeds, each with
            demonstration sets and queries of its own. Intervals resample the n_contexts · seeds demonstration sets, then the
            queries in them.
        edges: "source->destination" in names of token groups (`interventions.ROLE_NAMES`). A model with more than one way to
            the answer loses little by any of the paper's cuts (`EDGES`), so that wider ones, which leave no way around
            (`BYPASSES`), are made as well. Where a model reads the token behind the label, "sep->s_q".
        windows: candidate windows (first layer, last layer); by default a quarter, half and all of the depth, sliding.
        n_held_out: queries on which windows are chosen (by the loss), behind up to four demonstration sets of their own.
        reference: an encoder of your own, texts → features [text, d]; adds kernel alignment of s_q with it.
        untrained: measure states and attention in a freshly drawn model as well, one per seed.
        separator, selection: as in `build_prompts`.
        n_boot, level: resamples and level of the intervals.
        progress: show a bar on standard error.
        out: a directory in which what is finished is kept, as in `compare`.

    Returns:
        A `Circuit`.

    Raises:
        CircuitError: a task without label words, or windows that the model does not have.

    Source: Cho, Kato, Sakai, Inoue, Revisiting In-context Learning Inference Circuit (arXiv 2410.04468, ICLR 2025); the
    controls are stricter than theirs.
    """
    given = Given()
    request = CircuitRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        k=k,
        n_queries=n_queries,
        n_contexts=n_contexts,
        seeds=seeds if isinstance(seeds, int) else seeds_of(seeds),
        edges=(edges,) if isinstance(edges, str) else tuple(edges),
        windows=tuple(tuple(window) for window in windows) if windows is not None else None,  # type: ignore[misc]  # pairs
        n_held_out=n_held_out,
        reference=given.name("reference", reference),
        untrained=untrained,
        separator=separator,
        selection=given.name("selection", selection),
        n_boot=n_boot,
        level=level,
    )
    return CIRCUIT.run(request, progress=progress, out=out, **given.inputs)  # type: ignore[return-value]  # its result is a Circuit
