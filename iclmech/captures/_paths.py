"""Which way rows take through the model: the fastest one that is right, and never around anybody's hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from iclmech._base import CaptureError, rng
from iclmech.interventions import EditSite, Intervention, add, all_split, hooks_aside, standing_handles
from iclmech.models import ICLModel, Twin, twin_of, user_hooks
from iclmech.models._verified import close, verdict

from ._hooked_run import EncodedPrefix, embedded, hooked_chunks
from ._run_rows import Job, Path, Row
from ._twin_edits import editable
from ._twin_run import SITES, FastRun

Way = Literal["fast", "cached", "uncached"]


def choose(model: ICLModel, job: Job, path: Path, encoded: bool = False) -> Way:
    """The way to take; `encoded`: the prefix is there already.

    Raises `CaptureError` where the one asked for is not possible, naming what is in the way.
    """
    if path not in get_args(Path):
        raise CaptureError(f"got path={path!r}; expected 'auto', 'fast', 'cached' or 'uncached'.")
    if path == "uncached":
        return path
    obstacles = {"fast": no_fast_path, "cached": _no_cache}
    if path != "auto":
        obstacle = obstacles[path](model, job)
        if obstacle:
            raise CaptureError(f"path={path!r} is not possible: {obstacle}. Use path='auto'.")
        return path
    if not no_fast_path(model, job):
        return "fast"
    worth_it = encoded or (len(job.prefix) > 1 and len(job.rows) > 1)
    return "cached" if worth_it and not _no_cache(model, job) else "uncached"


def fast_twin(model: ICLModel) -> Twin:
    """The twin for the fast path. Raises `CaptureError` where there is none, or it was found wrong."""
    found = _checked_twin(model)
    if isinstance(found, str):
        raise CaptureError(f"{model.name} has no fast path: {found}.")
    return found


def _no_cache(model: ICLModel, job: Job) -> str:
    if not all_split(model, job.interventions, job.shortest_query):
        return "interventions are placed"
    if job.first_position is not None:
        return "positions are shifted"
    if not model.capabilities.cache:
        return "the self-check found no cache that is right on this model"
    if user_hooks(model, standing_handles(model)):
        return "the model carries hooks of its user"
    short = _short_window(model, job)
    return short if short and verdict(model, "cache behind short windows", partial(_forgets, model)) else ""


def no_fast_path(model: ICLModel, job: Job, graph: bool = False) -> str:
    """What forbids the fast path, or nothing. The twin, which costs most, is asked for last. `graph`: gradients are no obstacle."""
    if not editable(job.interventions) or not all_split(model, job.interventions, job.shortest_query):
        return "interventions are placed"
    if job.grad and not graph:
        return "gradients are asked for"
    strange = [site for site in job.sites if site not in SITES]
    if strange:
        return f"{strange[0]} cannot be read there"
    if _short_window(model, job):
        return _short_window(model, job)
    if user_hooks(model, standing_handles(model)):
        return "the model carries hooks of its user"
    found = _checked_twin(model)
    if isinstance(found, str):
        return found
    edited = _edited_sites(job.interventions)
    if "mlp_out" in (*job.sites, *edited) and any(module is None for module in found.mlp):
        return "mlp_out cannot be read there"
    if "resid_mid" in job.sites and model.capabilities.parallel:
        return "the blocks are parallel"
    embeddings = any(isinstance(tokens, Tensor) for tokens in (job.prefix, *(row.tokens for row in job.rows)))
    for what, needed in (*((f"edits of {site}", True) for site in edited), ("embeddings", embeddings)):
        wrong = verdict(found, what, partial(_difference, model, found, what)) if needed else ""
        if wrong:
            return f"with {what}, the plain twin differs from the model in {wrong}"
    return ""


def _edited_sites(interventions: Sequence[Intervention]) -> list[str]:
    return list(dict.fromkeys(change.site for change in interventions if isinstance(change, EditSite)))


def _short_window(model: ICLModel, job: Job) -> str:
    short = any(window is not None and window < job.longest for window in model.backend.local_windows())
    return "a layer looks back over a window shorter than the prompt" if short else ""


@torch.no_grad()
def _forgets(model: ICLModel) -> str:
    """Whether rows behind a cached prefix longer than a window differ from whole prompts: most caches of such layers keep no
    more keys than the window, and positions are then counted from the wrong end."""
    windows = [window for window in model.backend.local_windows() if window is not None]
    length = min(min(windows) + 5, model.shape.n_ctx)
    ids = torch.randint(0, model.shape.d_vocab, (length,), generator=rng(0, "cache behind short windows")).tolist()
    job = Job(ids[:-2], [Row(ids[-2:], (1,))], ("resid_post",), range(model.shape.n_layers))
    (cached,), (whole,) = hooked_chunks(model, job, EncodedPrefix(model, job)), hooked_chunks(model, job)
    same = close(cached.values["resid_post"], whole.values["resid_post"], model.dtype)
    return "" if same else "resid_post differs"


def _checked_twin(model: ICLModel) -> Twin | str:
    """The model's twin if it gives the hooked path's numbers on a few rows, or the reason why there is none."""
    with hooks_aside(model):
        twin = twin_of(model)
    if isinstance(twin, str):
        return twin
    wrong = verdict(twin, "captures", partial(_difference, model, twin, "captures"))
    return f"the plain twin differs from the model in {wrong}" if wrong else twin


@torch.no_grad()
def _difference(model: ICLModel, twin: Twin, what: str) -> str:
    """The first site at which rows through the twin differ from the hooked model's, or nothing.

    `what`: "captures", "embeddings" in place of ids, or "edits of <site>" in every layer.
    """
    ids = torch.randint(0, model.shape.d_vocab, (20,), generator=rng(0, "fast path")).tolist()
    prefix, rows = ids[:9], [ids[9:10], ids[10:13], ids[13:20]]
    sites = [s for s in SITES if s == "attn_scores" or model.backend.point(s, 0) is not None]
    sites = [s for s in sites if s != "mlp_out" or all(module is not None for module in twin.mlp)]
    job = Job(prefix, [Row(row, (len(row) - 1, 0)) for row in rows], sites, range(model.shape.n_layers))
    jobs = [job]
    if what == "captures" and model.shape.n_ctx >= 37:
        jobs.append(replace(job, first_position=30))
    elif what == "embeddings":
        rows = [replace(row, tokens=embedded(model, row.tokens)) for row in job.rows]
        jobs = [replace(job, prefix=embedded(model, prefix), rows=rows)]
    elif what.startswith("edits of "):
        jobs = [replace(job, interventions=[_probe_edit(model, what.removeprefix("edits of "))])]
    for one in jobs:
        (fast,), (slow,) = FastRun(model, twin, one, one.layers).chunks(one), hooked_chunks(model, one)
        for site in sites:
            a, b = fast.values[site].float(), slow.values[site].float()
            seen = ~torch.isnan(a) & (b > torch.finfo(torch.float32).min / 2)
            same_keys = torch.equal(seen, ~torch.isnan(b)) or site == "attn_pattern"
            if a.shape != b.shape or not same_keys or not close(a[seen], b[seen], model.dtype):
                return site
    return ""


def _probe_edit(model: ICLModel, site: str) -> EditSite:
    """Something added to a token of the prefix and the last one of every row, in all layers."""
    width = model.shape.d_head if site == "z" else model.shape.d_model
    return add(site, torch.randn(width, generator=rng(0, "fast path, edited")), at=[3, -1])
