"""`capture`: states and predictions of every query, zero-shot or behind its demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from iclmech._base import CaptureError, check_sites, track
from iclmech.interventions import Intervention
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._activations import Activations
from ._collector import ATTENTION, Collector, demonstration_dims, on_cpu, pad_last
from ._label_scores import RunOptions
from ._prompt_rows import DEMONSTRATION_POSITIONS, Position, Setting, demonstration_row, query_groups
from ._run import iter_run
from ._run_rows import Path
from ._twin_run import FastRun

EXTRA = ("context_scores", "context_pattern", "logits")


def capture(
    model: ICLModel,
    prompts: PromptSet,
    setting: Setting = "icl",
    sites: Sequence[str] = ("attn_out", "resid_post", "attn_scores"),
    position: Position = "prediction",
    *,
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] = (),
    match_positions: bool = False,
    path: Path = "auto",
    progress: bool = False,
) -> Activations:
    """Run every query and bring back states at one position of each, and the scores of the label words.

    Parameters
    ----------
    setting: "icl", behind the query's demonstrations; "zs", behind BOS alone. Under an update in force
        (`with update.applied(model)`), "zs" is the fine-tuned setting and is recorded as "ft:<hash>".
    sites: any of `iclmech.captures.SITES`, and "context_scores", "context_pattern", "logits" on request.
    position: "prediction", the token before the label; "label", the first token of the first label word, appended to
        every query (the key axis is one longer); "forerunners" or "labels", every demonstration's, with an axis "position"
        more; or a function of (query, context) that returns an index into the query's tokens.
    layers: all by default.
    interventions: changes to the pass (`iclmech.interventions`).
    match_positions: give a zero-shot query the position ids that it has behind its demonstrations.
    path: "auto", or "fast" (a plain twin of the model, demonstrations encoded once), "cached" (the hooked model,
        demonstrations encoded once) or "uncached" (prompts run whole); they agree to rounding, and "auto" takes the first that
        a self-check found right and that goes around no hook (see `iter_run`).

    Returns `Activations`; memory beyond them does not grow with the number of queries.

    Raises `CaptureError` for unknown settings, sites or positions, or prompts that do not fit the window.

    Source: what is recorded follows Deutch et al. (NAACL 2024), section 3, and Dai et al. (arXiv 2212.10559).
    """
    options = Options.checked(model, setting, sites, position, layers, interventions, match_positions, path)
    return capture_part(model, prompts, options, keys_of(prompts, position), progress=progress)


@dataclass(frozen=True)
class Options:
    """What a capture was asked for, checked."""

    setting: Setting
    names: tuple[str, ...]
    position: Position
    layers: tuple[int, ...]
    interventions: Sequence[Intervention]
    match_positions: bool
    path: Path

    @classmethod
    def checked(
        cls,
        model: ICLModel,
        setting: str,
        sites: Sequence[str],
        position: Any,
        layers: Sequence[int] | None,
        interventions: Sequence[Intervention] = (),
        match_positions: bool = False,
        path: Path = "auto",
    ) -> Options:
        """Raises `CaptureError` for a setting, a site, a position or layers that do not exist."""
        if setting not in get_args(Setting):
            raise CaptureError(
                f"got setting={setting!r}; expected 'zs' or 'icl'. The fine-tuned setting is 'zs' under an update in force."
            )
        if not callable(position) and position not in ("prediction", "label", *DEMONSTRATION_POSITIONS):
            raise CaptureError(
                f"got position={position!r}; expected 'prediction', 'label', 'forerunners', 'labels' or a function of (query, context)."
            )
        names = check_sites(sites, also=EXTRA)
        return cls(setting, names, position, _check_layers(model, layers), interventions, match_positions, path)  # type: ignore[arg-type]


def keys_of(prompts: PromptSet, position: Position) -> int:
    """Width of the axis of own keys: the longest query, and the label word's first token where that is recorded."""
    return max((len(query.tokens) for query in prompts.queries), default=0) + (position == "label")


def capture_part(
    model: ICLModel,
    prompts: PromptSet,
    options: Options,
    keys: int,
    *,
    progress: bool = False,
    numbers: Sequence[int] | None = None,
    encoded: dict[tuple[int, ...], FastRun] | None = None,
) -> Activations:
    """The work of `capture`. `numbers`: what each query is called in a larger set; `encoded`: shared by its parts."""
    if options.position in DEMONSTRATION_POSITIONS:
        return _capture_demonstrations(model, prompts, options)
    encoded = {} if encoded is None else encoded
    groups = list(query_groups(prompts, options.setting, options.position, numbers))
    longest = max((len(group.prefix) for group in groups), default=0)
    collector = Collector(model, prompts, options.names, options.layers, keys, longest)
    for group in track(groups, f"capturing {options.setting}", enabled=progress):
        shift = options.match_positions and options.setting == "zs"
        first = len(prompts.contexts[group.context].tokens) if shift else None
        run = RunOptions(options.interventions, options.path, first, encoded)
        for chunk in iter_run(
            model, group.prefix, group.rows, collector.recorded, layers=collector.run_layers, **run.keywords()
        ):
            collector.add(chunk, group)
        collector.labels.other_tokens(group, run)
    meta = _meta(model, prompts, options.position, options.match_positions)
    return collector.finish(_setting_name(model, options.setting), meta)


def _capture_demonstrations(model: ICLModel, prompts: PromptSet, options: Options) -> Activations:
    """States at the demonstrations: one pass per context, shared by its queries."""
    names, position, layers = options.names, str(options.position), options.layers
    if options.setting != "icl" or prompts.k == 0:
        raise CaptureError(f"position={position!r} reads the demonstrations; it needs setting='icl' and k > 0.")
    if {"attn_scores", "attn_pattern", "logits"} & set(names):
        raise CaptureError(
            f"with position={position!r} ask for 'context_scores' or 'context_pattern'; the query's own keys lie ahead."
        )
    changes = options.interventions
    predictions = capture(model, prompts, "icl", (), layers=layers, interventions=changes, path=options.path)
    collected: dict[str, list[Tensor]] = {name: [] for name in names}
    recorded = tuple(dict.fromkeys(ATTENTION.get(name, name) for name in names))
    used = sorted({query.context for query in prompts.queries})
    for context in (prompts.contexts[c] for c in used):
        row = demonstration_row(context, position)
        (chunk,) = iter_run(
            model, context.tokens[:1], [row], recorded, layers=layers, interventions=changes, path="uncached"
        )
        for name in names:
            value = on_cpu(chunk.values[ATTENTION.get(name, name)][0])  # [at, layer, (head), ...]
            per_head = name in ATTENTION
            collected[name].append(value.permute(1, 2, 0, 3) if per_head else value.transpose(0, 1))
    owner = torch.tensor([used.index(query.context) for query in prompts.queries])
    data = {name: pad_last(values, padded=name in ATTENTION)[owner] for name, values in collected.items()}
    dims = {name: demonstration_dims(name) for name in names}
    meta = _meta(model, prompts, position, False)
    return Activations(
        data, dims, predictions.label_scores, predictions.target_scores, predictions.setting, layers, meta
    )


def _check_layers(model: ICLModel, layers: Sequence[int] | None) -> tuple[int, ...]:
    n = model.shape.n_layers
    if layers is None:
        return tuple(range(n))
    wrong = [layer for layer in layers if not -n <= layer < n]
    if wrong or not len(layers):
        raise CaptureError(f"got layers={list(layers)}; expected some of 0 to {n - 1} of {model.name}.")
    return tuple(layer % n for layer in layers)


def _setting_name(model: ICLModel, setting: Setting) -> str:
    """An update in force makes the zero-shot setting the fine-tuned one; its hash stands in every name."""
    if not model.applied:
        return setting
    update = "+".join(model.applied)
    return f"ft:{update}" if setting == "zs" else f"{setting}+ft:{update}"


def _meta(model: ICLModel, prompts: PromptSet, position: Position | str, matched: bool) -> dict[str, Any]:
    return {
        "model": model.name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "task": prompts.task,
        "k": prompts.k,
        "position": position if isinstance(position, str) else getattr(position, "__name__", "function"),
        "match_positions": matched,
        "contexts": [query.context for query in prompts.queries],
        "labels": [query.label for query in prompts.queries],
    }
