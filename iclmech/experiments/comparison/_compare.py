"""`compare`: the Python face of the experiment, objects welcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._experiment import Given
from .._request import seeds_asked
from ._experiment import COMPARE
from ._plan import CompareError, spell_rates
from ._request import CompareRequest
from ._result import Comparison

if TYPE_CHECKING:
    from iclmech.captures import Position
    from iclmech.models import ICLModel, Selector
    from iclmech.tasks import Selection, Selector as Chooser, Task

    from ._cost import Estimate


def compare(
    model: ICLModel | str,
    task: Task | str,
    k: int = 32,
    n_queries: int = 256,
    updates: str | Sequence[str] | Mapping[str, Any] = ("gd", "lcgd"),
    seeds: int | Sequence[int] = 5,
    lr: str | float | Sequence[float] | Mapping[str, Any] = "auto",
    *,
    keep_queries: bool = False,
    metrics: Sequence[str] | Mapping[str, Any] | None = None,
    controls: str | Sequence[str] = "all",
    preset: str | None = None,
    loss: Literal["label", "all"] | None = None,
    parameters: Selector = "attn_kv",
    position: Position | None = None,
    separator: str | None = None,
    selection: Selection | Chooser | Sequence[int] = "random",
    wrong_task: Task | str | None = None,
    embeddings: Literal["keep", "fresh"] = "keep",
    sites: Sequence[str] | None = None,
    match_positions: bool = False,
    n_boot: int = 1000,
    level: float = 0.95,
    n_examples: int = 3,
    n_permutations: int = 6,
    calibrate: Literal["dc", "cc", "bc"] | None = None,
    label_specific: bool = False,
    progress: bool = True,
    dry_run: bool = False,
    out: str | Path | None = None,
) -> Comparison | Estimate:
    """What k demonstrations do in context, beside what gradient descent on the same k demonstrations does.

    For every seed, that is every draw of demonstrations, the same queries are run zero-shot, behind the demonstrations,
    and zero-shot under each update; the two shifts are compared (`icl.metrics`), and so are those of every control.

    Args:
        model, task: what to study, or the names of both. The model is left bit for bit as it was.
        k, n_queries: demonstrations per seed and queries (the same for every seed).
        updates: registered names ("gd", "lcgd", "lcgd_bottom_up", "momentum"), or {name: function(model, prompts, lr=...)} for one's own.
        seeds: how many draws of demonstrations, or which.
        lr: "auto": per update, on held-out training examples of the trained model and three draws of demonstrations, rates
            are walked upwards from 1e-4, three a decade, until the model breaks, and the one before that with the likeliest
            labels is used for every variant, control and seed (the curve is in the result, the reasons in its notes); a number; a grid, all of whose rates are kept; or {update: number or grid}.
        keep_queries: keep every measure by query as well.
        metrics: names of registered measures, or {name: function(zs, icl, ft)} on `Activations` with `sites`; each gives a number, or an array whose first
            axis is the query ([query], [query, layer], [query, layer, head]), and is run through every control.
        controls: "all", "essential" (random direction, random updates, untrained model, reordered ICL), "none", or names:
            random_direction, matched_update, random_update, untrained, shuffled_labels, wrong_task, icl:reordered, icl:shuffled_labels,
            icl:unrelated_text, icl:wrong_task; by name only icl:tuned_context (embeddings refined as in `tune_context`) and its
            control icl:random_context. On the untrained models only the essential ones are run.
        preset: "deutch2024" follows the published protocol (end-of-text separator, loss on all tokens, states read at the
            label, published rates, uniform random direction); what deviates is in `provenance["plan"]["deviations"]`.
        loss, parameters: of the updates; the loss counts label tokens unless told otherwise.
        position: where states are read, "prediction" (the default) or "label", or a function as in `capture`.
        separator, selection: of the demonstrations, as in `build_prompts`; the same for all queries (row numbers, `icl.selection.VoteK`).
        wrong_task: the task of the control of that name; a shipped task has one of its own.
        embeddings: of the untrained models, "keep" or "fresh".
        sites: what is captured: attn_out and attn_scores, and resid_post where there are `metrics`; one's own list must hold
            the first two.
        match_positions: place zero-shot queries at the positions they have behind the demonstrations.
        n_boot: of no effect any more; intervals are two-way, not resampled.
        level: of the intervals.
        n_examples: prompts whose attention is kept for looking at.
        n_permutations: permutations of the labels in the shuffled-label controls, whose numbers are averaged.
        calibrate: accuracies with the prior of each context taken out (`accuracy_calibrated`), as in `icl.calibration.prior`.
        label_specific: measure what the right labels add to the similarity (`sim_aou_labels`, whose null is zero), on the trained
            model. It takes about 20 more updates for each update and seed; vectors are refused.
        progress: show a bar on standard error, or a line every half minute where that is no terminal.
        dry_run: run nothing but a short probe, and say what it would take.
        out: a directory for result, table and request. What is finished is kept there: the same call goes on from it after a
            stop, with the same bits, and reads the result once it is whole.

    Returns:
        A `Comparison`; with `dry_run` an `Estimate`: steps, tokens, seconds. What is NaN was not run or is masked everywhere; `provenance["notes"]` says what happened.

    Raises:
        CompareError: arguments that make no sense. PromptError, UpdateError, ModelError: from the steps.

    Source: Deutch et al., arXiv 2311.07772; Dai et al., arXiv 2212.10559.

    Example:
        >>> import iclmech as icl
        >>> result = icl.compare("icl-mini", "mini/sentiment", k=4, n_queries=8, seeds=1, updates="gd", lr=0.03,
        ...                      controls="none", n_boot=50, progress=False)
        >>> result.data["sim_aou"].dims
        ('comparison', 'variant', 'seed', 'lr', 'layer')
    """
    given = Given()
    request = CompareRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="name"),
        k=k,
        n_queries=n_queries,
        updates=given.named("updates", updates, "update"),
        seeds=seeds_asked(seeds),
        lr=_plain_rates(lr),
        keep_queries=keep_queries,
        metrics=given.named("metrics", metrics or (), "measure"),
        controls=(controls,) if isinstance(controls, str) else tuple(controls),
        preset=preset,
        loss=loss,
        parameters=given.name("parameters", parameters),
        position=given.name("position", position),
        separator=separator,
        selection=given.name("selection", _as_selection(selection)),
        wrong_task=given.name("wrong_task", wrong_task, by="name"),
        embeddings=embeddings,
        sites=tuple(sites) if sites is not None else None,
        match_positions=match_positions,
        n_boot=n_boot,
        level=level,
        n_examples=n_examples,
        n_permutations=n_permutations,
        calibrate=calibrate,
        label_specific=label_specific,
    )
    if dry_run:
        return COMPARE.estimated(request, **given.inputs)
    return COMPARE.run(request, progress=progress, out=out, **given.inputs)  # type: ignore[return-value]  # its result is a Comparison


def _plain_rates(lr: Any) -> Any:
    try:
        return spell_rates(lr)
    except (TypeError, ValueError):
        raise CompareError(f"got lr={lr!r}; expected 'auto', numbers, or {{update: number or list}}.") from None


def _as_selection(selection: Any) -> Any:
    """Row numbers as an object, whose content stands in the request."""
    if isinstance(selection, str) or not isinstance(selection, Sequence):
        return selection
    from iclmech.tasks import GivenRows

    return GivenRows(selection)
