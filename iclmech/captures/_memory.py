"""How much memory a capture will take, before it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._collector import dims_of, recorded_sites
from ._hooked_run import chunk_rows
from ._paths import choose
from ._positions import Position
from ._prompt_rows import Setting
from ._request import DEFAULT_SITES, CaptureOptions, Request
from ._run_rows import Job, Row
from ._twin_run import chunk_tokens

_MLP = 4  # width of the MLP in units of d_model: what most models have
_SPREAD = 3
"""Peaks over what the formulas below count: 1.7 to 2.8 when measured on models of 124 M and 355 M parameters, by all three
paths. The rest are temporaries inside functions and pieces that the allocator keeps."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes. `weights`: there already (of a model with weights on the disk: those in memory, and the largest block that is not). `outputs`: what `capture` returns (exact). `working`: at the height of a pass (a
    bound by rule of thumb), the same for any number of queries. `way`: the way through the model it holds for."""

    weights: int
    outputs: int
    working: int
    way: str

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.outputs + self.working

    def __str__(self) -> str:
        parts = [f"{name} {getattr(self, name) / 1e6:,.0f} MB" for name in ("weights", "outputs", "working", "total")]
        return f"{', '.join(parts)} ({self.way} path)"


def estimate_memory(
    model: ICLModel,
    prompts: PromptSet,
    setting: Setting = "icl",
    sites: Sequence[str] = DEFAULT_SITES,
    position: Position = "prediction",
    *,
    size: int | None = None,
    **options: Unpack[CaptureOptions],
) -> MemoryEstimate:
    """What `capture` with these arguments will take; with `size`, what `iter_capture` will. Nothing is run.

    Raises:
        CaptureError: as `capture` does for arguments that do not exist.
    """
    request = Request.checked(model, setting, sites, position, options)
    n = len(prompts.queries) if size is None else min(size, len(prompts.queries))
    contexts = [len(context.tokens) for context in prompts.contexts]
    prefix = max(contexts) if setting == "icl" else 1
    own = request.keys(prompts)
    outputs = n * sum(_width(model, prompts, name, request, prefix, own) for name in request.names)
    outputs += n * (max(len(context.label_tokens) for context in prompts.contexts) + 1)
    recorded = recorded_sites(request.names)
    row = Row([0] * own, (own - 1,))
    job = Job([0] * prefix, [row, row], recorded, request.layers, request.interventions)
    way = choose(model, job, request.path)
    bytes_of = model.dtype.itemsize
    kept = 8 if bytes_of == 8 else 4
    tensors = [parameter.tensor for parameter in model.parameters("all")]
    weights = sum(tensor.numel() for tensor in tensors if not tensor.is_meta) * bytes_of
    away = [
        sum(p.tensor.numel() for p in model.parameters("all") if p.tensor.is_meta and p.layer == n)
        for n in range(model.shape.n_layers)
    ]
    weights += max(away) * bytes_of  # of a spread model one block at a time
    working = int(_SPREAD * _working(model, way, prefix, own, recorded) * max(bytes_of, 4))
    return MemoryEstimate(weights, outputs * kept + 8 * n, working, way)


def _width(model: ICLModel, prompts: PromptSet, name: str, request: Request, prefix: int, own: int) -> int:
    """Numbers per query of one site."""
    s = model.shape
    sizes = {"layer": len(request.layers), "head": s.n_heads, "kv_head": s.n_kv_heads, "d_head": s.d_head}
    sizes |= {"d_model": s.d_model, "d_vocab": s.d_vocab, "key": own, "context": prefix, "query": 1}
    if request.places.of_demonstrations:
        at = [len(request.places.of_context(context)) for context in prompts.contexts]
    else:
        at = [len(request.places.of_query(q, prompts.contexts[q.context])) for q in prompts.queries]
    sizes["position"] = max(at, default=0)
    width = 1
    for axis in dims_of(name, request.places.axis):
        width *= sizes[axis]
    return width


def _working(model: ICLModel, way: str, prefix: int, own: int, recorded: Sequence[str]) -> int:
    """Numbers that live at the height of a pass."""
    s = model.shape
    if way == "fast":
        tokens = max(chunk_tokens(model.device), own)
        rows = tokens // own + 1
        passing = max(prefix, tokens) * s.d_model * (6 + 2 * _MLP) + 2 * tokens * (prefix + tokens)
        reading = rows * s.d_vocab * 3
    else:
        rows = chunk_rows(model, prefix, own)
        length = own if way == "cached" else prefix + own
        passing = rows * length * s.d_model * (6 + 2 * _MLP) + 4 * rows * s.n_heads * length * (prefix + own)
        reading = (
            rows * length * s.d_vocab if way == "uncached" and not model.capabilities.cache else rows * s.d_vocab * 3
        )
    keys = 2 * s.n_layers * s.n_kv_heads * s.d_head * (prefix + own) * (rows if way == "cached" else 1)
    states = len([site for site in recorded if site not in ("attn_scores", "attn_pattern")]) + 2
    seen = rows * s.n_layers * (states * s.d_model + 3 * s.n_heads * (prefix + own))
    return keys + seen + max(passing, reading)
