"""`compare`: in-context learning beside weight updates from the same demonstrations, with controls.

Read it top to bottom: prompts → settings → captures → measures → statistics → dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from iclmech._base import ModelError, provenance, to_ascii_json
from iclmech.captures import Activations, Position
from iclmech.models import ICLModel, Selector
from iclmech.tasks import PromptSet, Selection, Task

from ._dataset import Frame, gather, gather_queries
from ._examples import example_attention
from ._learning_rate import choose_rates
from ._measure import COMPARED, SINGLE, Bench, Records, measure, queries_hash
from ._names import comparison_names, setting_names
from ._plan import (
    DEFAULT_GRID,
    SITES,
    CompareError,
    Plan,
    controls_of,
    metrics_of,
    preset_options,
    rates_of,
    seeds_of,
    updates_of,
)
from ._prompts import control_prompts, other_task, seed_prompts
from ._result import Comparison


def compare(
    model: ICLModel,
    task: Task,
    k: int = 32,
    n_queries: int = 256,
    updates: str | Sequence[str] | Mapping[str, Any] = ("gd", "lcgd"),
    seeds: int | Sequence[int] = 3,
    lr: str | float | Sequence[float] | Mapping[str, Any] = "auto",
    *,
    keep_queries: bool = False,
    metrics: Mapping[str, Any] | None = None,
    controls: str | Sequence[str] = "all",
    preset: str | None = None,
    loss: Literal["label", "all"] | None = None,
    parameters: Selector = "attn_kv",
    position: Position | None = None,
    separator: str | None = None,
    selection: Selection = "random",
    wrong_task: Task | None = None,
    embeddings: Literal["keep", "fresh"] = "keep",
    sites: Sequence[str] | None = None,
    match_positions: bool = False,
    n_boot: int = 1000,
    level: float = 0.95,
    n_examples: int = 3,
    progress: bool = True,
) -> Comparison:
    """What k demonstrations do in context, beside what gradient descent on the same k demonstrations does.

    For every seed, that is every draw of demonstrations, the same queries are run zero-shot, behind the demonstrations,
    and zero-shot under each update; the two shifts are compared (`icl.metrics`), and so are those of every control.

    Args:
        model, task: what to study. The model is left bit for bit as it was.
        k, n_queries: demonstrations per seed and queries (the same for every seed).
        updates: names ("gd", "lcgd", "lcgd_bottom_up"), or {name: function(model, prompts, lr=...)} for one's own.
        seeds: how many draws of demonstrations, or which.
        lr: "auto": per update, of the rates 1e-4 to 1, the one with the lowest negative log-likelihood of the labels of
            held-out training examples on the trained model, then used for every variant, control and seed (the curve is in the
            result); a number; a grid, all of whose rates are kept; or {update: number or grid}.
        keep_queries: keep every measure by query as well.
        metrics: {name: function(zs, icl, ft)} on `Activations` with `sites`; each gives a number, or an array whose first
            axis is the query ([query], [query, layer], [query, layer, head]), and is run through every control.
        controls: "all", "essential" (random direction, random update, untrained model, reordered ICL), "none", or names:
            random_direction, random_update, untrained, shuffled_labels, wrong_task, icl:reordered, icl:shuffled_labels,
            icl:unrelated_text, icl:wrong_task. On the untrained models only the essential ones are run.
        preset: "deutch2024" follows the published protocol (end-of-text separator, loss on all tokens, states read at the
            label, published rates, uniform random direction); what deviates is in `provenance["plan"]["deviations"]`.
        loss, parameters: of the updates; the loss counts label tokens unless told otherwise.
        position: where states are read, "prediction" (the default) or "label", or a function as in `capture`.
        separator, selection: of the demonstrations, as in `build_prompts`.
        wrong_task: the task of the control of that name; a shipped task has one of its own.
        embeddings: of the untrained models, "keep" or "fresh".
        sites: what is captured: attn_out and attn_scores, and resid_post where there are `metrics`; one's own list must hold
            the first two.
        match_positions: place zero-shot queries at the positions they have behind the demonstrations.
        n_boot, level: resamples and level of the intervals.
        n_examples: prompts whose attention is kept for looking at.
        progress: show a bar on standard error.

    Returns:
        A `Comparison`. What is NaN was not run or is masked everywhere; `provenance["notes"]` says what happened.

    Raises:
        CompareError: arguments that make no sense. PromptError, UpdateError, ModelError: from the steps.

    Source: Deutch et al., arXiv 2311.07772; Dai et al., arXiv 2212.10559.
    """
    options, deviations = preset_options(
        preset,
        task,
        model.name,
        {"loss": loss, "position": position, "separator": separator, "lr": lr, "k": k, "seeds": len(seeds_of(seeds))},
    )
    chosen_controls, demanded = controls_of(controls)
    named = updates_of(updates, options["loss"], parameters)
    if k < 1:
        raise CompareError(f"got k={k}; expected at least one demonstration to learn from.")
    sites = sites or (SITES if metrics else SITES[:2])
    missing = [site for site in ("attn_out", "attn_scores") if site not in sites]
    if missing:
        raise CompareError(f"got sites={tuple(sites)}; expected attn_out and attn_scores among them.")
    plan = Plan(
        k=k,
        n_queries=n_queries,
        seeds=seeds_of(seeds),
        updates=named,
        rates=rates_of(options["lr"], list(named)),
        controls=chosen_controls,
        demanded=demanded,
        metrics=metrics_of(metrics, (*COMPARED, *SINGLE, "relative_norm")),
        loss=options["loss"],
        parameters=parameters,
        position=options["position"],
        separator=options["separator"],
        selection=selection,
        wrong_task=wrong_task,
        embeddings=embeddings,
        sites=tuple(sites),
        match_positions=match_positions,
        direction=options["direction"],
        keep_queries=keep_queries,
        n_boot=n_boot,
        level=level,
        n_examples=n_examples,
        preset=preset,
        deviations=deviations,
    )
    with progress_bar(progress, _n_steps(plan)) as step:
        return run(model, task, plan, step)


def run(model: ICLModel, task: Task, plan: Plan, step: Callable[[str], None]) -> Comparison:
    """The protocol of `compare`."""
    records = Records()
    model.require_raw()
    other = other_task(task, plan, records)
    rates, curve = (plan.rates, None) if plan.rates else choose_rates(model, task, plan, records, step)
    prompts = {seed: seed_prompts(model, task, plan, seed, records) for seed in plan.seeds}
    for variant in plan.variants:
        zero_shot: dict[str, Activations] = {}
        for seed in plan.seeds:
            subject = _subject(model, variant, seed, plan, records)
            if subject is None:
                continue
            changed = control_prompts(model, prompts[seed], other, plan, records)
            strict = variant == "trained" and len(rates[next(iter(rates))]) == 1
            bench = Bench(plan, records, subject, prompts[seed], changed, variant, seed, strict)
            measure(bench, rates, _zero_shot(bench, zero_shot), step)
    step("statistics")
    first = prompts[plan.seeds[0]]
    n_rates = len(rates[next(iter(rates))])
    frame = Frame(plan, comparison_names(plan), setting_names(plan), n_rates, model.shape.n_layers, model.shape.n_heads)
    means = gather(records, frame, curve, rates)
    queries = gather_queries(records, frame, first) if plan.keep_queries else None
    examples = example_attention(model, first, plan, rates, model.name)
    means.attrs = {
        "n_queries": len(first.queries),
        "provenance": to_ascii_json(_origin(model, task, plan, prompts, records)),
    }
    return Comparison(means, queries, examples)


def _subject(model: ICLModel, variant: str, seed: int, plan: Plan, records: Records) -> ICLModel | None:
    """The model itself, or an untrained one, drawn anew for each seed."""
    if variant == "trained":
        return model
    try:
        return model.untrained(seed, embeddings=plan.embeddings)
    except ModelError as error:
        if "untrained" in plan.demanded:
            raise
        records.note(f"The untrained control was not run: {error}")
        return None


def _zero_shot(bench: Bench, kept: dict[str, Activations]) -> Activations:
    """The zero-shot setting; captured once for the trained model, since all seeds have the same queries."""
    key = queries_hash(bench.prompts)
    if bench.variant != "trained":
        return bench.run(bench.prompts, "zs")
    if key not in kept:
        kept.clear()  # label words that change from seed to seed must not pile up
        kept[key] = bench.run(bench.prompts, "zs")
    return kept[key]


def _origin(model: ICLModel, task: Task, plan: Plan, prompts: dict[int, PromptSet], records: Records) -> dict[str, Any]:
    first = prompts[plan.seeds[0]]
    return provenance(
        kind="compare",
        model={
            "name": model.name,
            "hash": model.hash(),
            "backend": model.backend.kind,
            "device": str(model.device),
            "dtype": str(model.dtype).removeprefix("torch."),
            "n_layers": model.shape.n_layers,
            "n_heads": model.shape.n_heads,
            "d_model": model.shape.d_model,
        },
        task={"name": task.name, "hash": task.hash, "label_words": task.label_words, "template": task.template},
        k=first.k,
        k_by_seed=[p.k for p in prompts.values()],
        k_requested=plan.k,
        n_queries=len(first.queries),
        prompts=[p.hash for p in prompts.values()],
        dropped=[p.dropped for p in prompts.values()],
        plan=plan.record(),
        notes=records.notes,
    )


def _n_steps(plan: Plan) -> int:
    """How many steps the progress bar has, at most."""
    tuned = [c for c in ("shuffled_labels", "wrong_task") if c in plan.controls]
    contexts = [c for c in plan.controls if c.startswith("icl:")]
    n_rates = len(next(iter(plan.rates.values()))) if plan.rates else 1
    trained = 1 + len(contexts) + len(plan.updates) * n_rates * (1 + len(tuned))
    untrained = (2 + len(plan.updates) * n_rates) if "untrained" in plan.controls else 0
    search = 0 if plan.rates else len(plan.updates) * len(DEFAULT_GRID)
    return search + len(plan.seeds) * (trained + untrained) + 1


@contextmanager
def progress_bar(enabled: bool, total: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that moves a bar on standard error by one step and says which; it does nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not enabled or not (console.is_terminal or console.is_jupyter):
        yield lambda _: None
        return
    with Progress(console=console, transient=True) as bar:
        row = bar.add_task("compare", total=total)
        yield lambda what: bar.update(row, advance=1, description=what)
