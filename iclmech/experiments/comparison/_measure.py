"""The walk of one demonstration set: settings are captured, compared, reduced to numbers per query, and dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iclmech._base import ICLMechError, UpdateError, digest, rng
from iclmech.analysis import metrics
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._plan import CompareError, Plan

Cell = tuple[str, str, int, int | None]
"""(comparison or setting, variant, seed, position on the grid of rates; None where no rate plays a part)."""

COMPARED = ("sim_aou", "null_closed_form", "sim_am", "rec2ftp", "change_agreement", "label_js")
"""Measures of (zs, icl, ft), in every comparison."""

SINGLE = ("accuracy", "label_nll")
"""Measures of one setting."""


@dataclass
class Records:
    """Numbers per query, by measure and cell; and what should be told."""

    compared: dict[str, dict[Cell, np.ndarray]] = field(default_factory=dict)
    single: dict[str, dict[Cell, np.ndarray]] = field(default_factory=dict)
    relative_norm: dict[Cell, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> bool:
        """Remember a sentence once; False if it is known."""
        if text in self.notes:
            return False
        self.notes.append(text)
        return True


@dataclass(frozen=True)
class Bench:
    """One model with one demonstration set: what all its settings share."""

    plan: Plan
    records: Records
    model: ICLModel
    prompts: PromptSet
    controls: dict[str, PromptSet]  # prompts with another context, by the name of the control
    variant: str
    seed: int
    strict: bool = False  # an update that fails is an error, not a note

    def cell(self, name: str, lr: int | None) -> Cell:
        """Where the numbers of a comparison or setting belong."""
        return (name, self.variant, self.seed, lr)

    def run(self, prompts: PromptSet, setting: Any, sites: tuple[str, ...] | None = None) -> Activations:
        """Capture one setting: the plan's sites unless told otherwise."""
        plan = self.plan
        matched = plan.match_positions and setting == "zs"
        return capture(self.model, prompts, setting, sites or plan.sites, plan.position, match_positions=matched)


def measure(bench: Bench, rates: dict[str, tuple[float, ...]], zs: Activations, step: Callable[[str], None]) -> None:
    """All settings and comparisons of one demonstration set on one model, into `bench.records`."""
    labels = [query.label for query in bench.prompts.queries]
    record_setting(bench, "zs", None, zs, labels)
    step("icl")
    icl = bench.run(bench.prompts, "icl")
    record_setting(bench, "icl", None, icl, labels)
    for name in bench.plan.controls_of(bench.variant):
        if name.startswith("icl:") and name in bench.controls:
            step(name)
            other = bench.run(bench.controls[name], "icl")
            record_setting(bench, name, None, other, labels)
            if name == "icl:reordered":
                record_comparison(bench, name, None, zs, icl, other, labels)
    shift: Activations | None = None
    for update in bench.plan.updates:
        for position, lr in enumerate(rates[update]):
            for name, ft in fine_tuned(bench, update, lr, position, step):
                record_setting(bench, f"ft:{name}", position, ft, labels)
                record_comparison(bench, name, position, zs, icl, ft, labels)
                shift = ft if shift is None and name == update else shift
    if "random_direction" in bench.plan.controls_of(bench.variant) and shift is not None:
        record_random_direction(bench, zs, icl, shift)


def fine_tuned(
    bench: Bench, update: str, lr: float, position: int, step: Callable[[str], None]
) -> Iterator[tuple[str, Activations]]:
    """The fine-tuned setting under the update itself and under its controls: (name, activations)."""
    controls = bench.plan.controls_of(bench.variant)
    step(update)
    real = try_update(bench, update, update, bench.prompts, lr)
    versions: list[tuple[str, Any]] = [(update, real)]
    if "random_update" in controls:
        versions.append((f"{update}:random_update", real.random_like(bench.seed) if real is not None else None))
    for name in ("shuffled_labels", "wrong_task"):
        if name in controls and name in bench.controls:
            step(f"{update}:{name}")
            full = f"{update}:{name}"
            versions.append((full, try_update(bench, full, update, bench.controls[name], lr)))
    for name, weights in versions:
        if weights is None:
            continue
        bench.records.relative_norm[bench.cell(name, position)] = weights.relative_norm()
        with weights.applied(bench.model):
            ft = bench.run(bench.prompts, "zs")
        yield name, ft


def try_update(bench: Bench, name: str, update: str, prompts: PromptSet, lr: float) -> Any:
    """The update, or None with a note where it diverges. Raises `UpdateError` if nothing can stand in its place."""
    try:
        return bench.plan.update(update, bench.model, prompts, lr)
    except UpdateError as error:
        if bench.strict and name == update:
            raise
        bench.records.note(f"{name} at learning rate {lr:g} ({bench.variant}, seed {bench.seed}) was left out: {error}")
        return None


def record_setting(bench: Bench, name: str, lr: int | None, acts: Activations, labels: list[int | None]) -> None:
    """Accuracy and label likelihood of one setting."""
    values = {"accuracy": metrics.correct(acts, labels), "label_nll": -acts.target_scores}
    for measure_name, value in values.items():
        bench.records.single.setdefault(measure_name, {})[bench.cell(name, lr)] = _numpy(value)


def record_comparison(
    bench: Bench,
    name: str,
    lr: int | None,
    zs: Activations,
    icl: Activations,
    ft: Activations,
    labels: list[int | None],
) -> None:
    """Every measure of (zs, icl, ft), the user's included."""
    values: dict[str, Any] = {
        "sim_aou": metrics.sim_aou(zs, icl, ft),
        "null_closed_form": metrics.null_closed_form(zs, icl, ft),
        "sim_am": metrics.sim_am(zs, icl, ft),
        "rec2ftp": metrics.rec2ftp(zs, icl, ft, labels, by_query=True),
        "change_agreement": metrics.change_agreement(zs, icl, ft, by_query=True),
        "label_js": metrics.label_js(icl, ft) if icl.label_scores.shape[1] else torch.full((len(labels),), torch.nan),
    }
    values |= own_metrics(bench, name, zs, icl, ft)
    for measure_name, value in values.items():
        bench.records.compared.setdefault(measure_name, {})[bench.cell(name, lr)] = _numpy(value)


def own_metrics(bench: Bench, name: str, zs: Activations, icl: Activations, ft: Activations) -> dict[str, np.ndarray]:
    """The user's measures, each checked to be a number or an array with the queries first."""
    values: dict[str, np.ndarray] = {}
    for metric, function in bench.plan.metrics.items():
        try:
            value = _numpy(function(zs, icl, ft))
        except ICLMechError:
            raise
        except Exception as error:
            error.add_note(f"raised by the metric {metric!r} in the comparison {name!r}")
            raise
        if value.ndim and value.shape[0] != len(zs):
            raise CompareError(
                f"the metric {metric!r} gave shape {value.shape} for {len(zs)} queries; expected a number, or an array with "
                "one entry per query along its first axis."
            )
        values[metric] = value
    return values


def record_random_direction(bench: Bench, zs: Activations, icl: Activations, ft: Activations) -> None:
    """A random vector in the place of the update's shift: centred Gaussian, or uniform on [0, 1) as published."""
    generator = rng(bench.seed, "random direction")
    states, scores = _noise(zs["attn_out"], bench.plan, generator), _noise(zs["attn_scores"], bench.plan, generator)
    values: dict[str, Any] = {
        "sim_aou": metrics.sim_aou_direction(zs, icl, states),
        "sim_am": metrics.sim_am_direction(zs, icl, scores),
    }
    if bench.plan.metrics:
        values |= own_metrics(bench, "random_direction", zs, icl, _displaced(bench, zs, ft))
    for measure_name, value in values.items():
        cell = bench.cell("random_direction", None)
        bench.records.compared.setdefault(measure_name, {})[cell] = _numpy(value)


def _noise(like: Tensor, plan: Plan, generator: torch.Generator) -> Tensor:
    draw = torch.rand if plan.direction == "uniform" else torch.randn
    return draw(like.shape, generator=generator, dtype=like.dtype)


def _displaced(bench: Bench, zs: Activations, ft: Activations) -> Activations:
    """Zero-shot states moved by random vectors as long as the update's shifts; no predictions."""
    generator = rng(bench.seed, "random direction of own metrics")
    data = {}
    for site, start in zs.data.items():
        noise = torch.where(start.isnan(), 0, _noise(start, bench.plan, generator))
        length = (ft[site] - start).nan_to_num(0).norm(dim=-1, keepdim=True)
        data[site] = start + noise * (length / noise.norm(dim=-1, keepdim=True).clamp(min=1e-30))
    nothing = torch.full_like(zs.label_scores, torch.nan)
    return replace(
        zs,
        data=data,
        label_scores=nothing,
        target_scores=torch.full_like(zs.target_scores, torch.nan),
        setting="random_direction",
    )


def _numpy(value: Any) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    return array.astype(np.float32 if array.ndim else np.float64)


def queries_hash(prompts: PromptSet) -> str:
    """What the zero-shot setting depends on besides the model: the queries' tokens and the label words of their contexts."""
    return digest([[q.tokens, prompts.contexts[q.context].label_tokens] for q in prompts.queries])
