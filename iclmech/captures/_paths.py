"""Which way rows take through the model: the fastest one that is right, and never around anybody's hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from weakref import WeakKeyDictionary

import torch

from iclmech._base import CaptureError, rng
from iclmech.interventions import Intervention, all_split
from iclmech.models import ICLModel, Twin, twin_of, user_hooks

from ._run_rows import Path, Row
from ._twin_run import SITES, FastRun

Way = Literal["fast", "cached", "uncached"]

_agreed: WeakKeyDictionary[Twin, str] = WeakKeyDictionary()
"""For every twin that was tried here, the site at which it differed from the hooked path, or nothing."""


@dataclass(frozen=True)
class Job:
    """What is to be run, as far as the way depends on it."""

    prefix: Sequence[int]
    rows: Sequence[Row]
    sites: Sequence[str]
    interventions: Sequence[Intervention] = ()
    first_position: int | None = None
    grad: bool = False


def choose(model: ICLModel, job: Job, path: Path) -> Way:
    """The way to take. Raises `CaptureError` where the one asked for is not possible, naming what is in the way."""
    if path not in get_args(Path):
        raise CaptureError(f"got path={path!r}; expected 'auto', 'fast', 'cached' or 'uncached'.")
    if path == "uncached":
        return path
    obstacles = {"fast": _no_fast_path, "cached": _no_cache}
    if path != "auto":
        obstacle = obstacles[path](model, job)
        if obstacle:
            raise CaptureError(f"path={path!r} is not possible: {obstacle}. Use path='auto'.")
        return path
    if not _no_fast_path(model, job):
        return "fast"
    worth_it = len(job.prefix) > 1 and len(job.rows) > 1
    return "cached" if worth_it and not _no_cache(model, job) else "uncached"


def fast_twin(model: ICLModel) -> Twin:
    """The twin for the fast path. Raises `CaptureError` where there is none, or it was found wrong."""
    found = _checked_twin(model)
    if isinstance(found, str):
        raise CaptureError(f"{model.name} has no fast path: {found}.")
    return found


def _no_cache(model: ICLModel, job: Job) -> str:
    if not all_split(model, job.interventions):
        return "interventions are placed"
    if job.first_position is not None:
        return "positions are shifted"
    if not model.capabilities.cache:
        return "the self-check found no cache that is right on this model"
    return "the model carries hooks of its user" if user_hooks(model) else ""


def _no_fast_path(model: ICLModel, job: Job) -> str:
    """What forbids the fast path, or nothing. The twin, which costs most, is asked for last."""
    if job.interventions:
        return "interventions are placed"
    if job.grad:
        return "gradients are asked for"
    if any(torch.is_tensor(row.tokens) for row in job.rows):
        return "rows are given as embeddings"
    strange = [site for site in job.sites if site not in SITES]
    if strange:
        return f"{strange[0]} cannot be read there"
    longest = len(job.prefix) + max((len(row.tokens) for row in job.rows), default=0)
    if any(window is not None and window < longest for window in model.backend.local_windows()):
        return "a layer looks back over a window shorter than the prompt"
    if user_hooks(model):
        return "the model carries hooks of its user"
    if model.hooked.training:
        return "the model is in training mode"
    found = _checked_twin(model)
    if isinstance(found, str):
        return found
    if "mlp_out" in job.sites and any(module is None for module in found.mlp):
        return "mlp_out cannot be read there"
    return "the blocks are parallel" if "resid_mid" in job.sites and model.capabilities.parallel else ""


def _checked_twin(model: ICLModel) -> Twin | str:
    """The model's twin if it gives the hooked path's numbers on a few rows, or the reason why there is none."""
    twin = twin_of(model)
    if isinstance(twin, str):
        return twin
    if twin not in _agreed:
        try:
            _agreed[twin] = _difference(model, twin)
        except Exception as error:  # the hooked path is always there, so whatever fails here only costs time
            _agreed[twin] = f"{type(error).__name__}: {error}"
    wrong = _agreed[twin]
    return f"the plain twin differs from the model in {wrong}" if wrong else twin


@torch.no_grad()
def _difference(model: ICLModel, twin: Twin) -> str:
    """The first site at which the twin differs from the hooked path, or nothing."""
    from ._run import iter_run  # which itself asks this module for the way

    ids = torch.randint(0, model.shape.d_vocab, (20,), generator=rng(0, "fast path")).tolist()
    prefix, rows = ids[:9], [ids[9:10], ids[10:13], ids[13:20]]
    at = torch.tensor([[len(row) - 1, 0] for row in rows])
    sites = [s for s in SITES if s == "attn_scores" or model.backend.point(s, 0) is not None]
    sites = [s for s in sites if s != "mlp_out" or all(module is not None for module in twin.mlp)]
    layers = range(model.shape.n_layers)
    jobs = [Row(row, tuple(places)) for row, places in zip(rows, at.tolist(), strict=True)]
    tolerance = 1e-4 if model.dtype in (torch.float32, torch.float64) else 5e-2
    for first in (None, 30):
        if first is not None and first + 7 > model.shape.n_ctx:
            continue
        fast = FastRun(model, twin, prefix, layers).run(rows, at, sites, first)
        (slow,) = iter_run(model, prefix, jobs, sites, path="uncached", first_position=first)
        for site in sites:
            a, b = fast[site].float(), slow.values[site].float()
            seen = ~torch.isnan(a) & (b > torch.finfo(torch.float32).min / 2)
            same_keys = torch.equal(seen, ~torch.isnan(b)) or site == "attn_pattern"
            if a.shape != b.shape or not same_keys or (a - b)[seen].abs().max() > tolerance * (1 + b[seen].abs().max()):
                return site
    return ""
