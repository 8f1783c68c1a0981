"""How much memory a capture will take, before it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._capture import Options, keys_of
from ._collector import ATTENTION, query_dims
from ._paths import Job, choose
from ._prompt_rows import DEMONSTRATION_POSITIONS, Position, Setting
from ._run import chunk_rows
from ._run_rows import Path, Row
from ._twin_run import chunk_tokens

_MLP = 4  # width of the MLP in units of d_model: what most models have
_SPREAD = 3
"""Peaks over what the formulas below count: 1.7 to 2.8 when measured on models of 124 M and 355 M parameters, by all three
paths. The rest are temporaries inside functions and pieces that the allocator keeps."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes. `weights`: there already. `outputs`: what `capture` returns (exact). `working`: at the height of a pass (a
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
    sites: Sequence[str] = ("attn_out", "resid_post", "attn_scores"),
    position: Position = "prediction",
    *,
    layers: Sequence[int] | None = None,
    size: int | None = None,
    path: Path = "auto",
) -> MemoryEstimate:
    """What `capture` with these arguments will take; with `size`, what `iter_capture` will. Nothing is run.

    Raises `CaptureError` as `capture` does for arguments that do not exist.
    """
    options = Options.checked(model, setting, sites, position, layers, path=path)
    n = len(prompts.queries) if size is None else min(size, len(prompts.queries))
    contexts = [len(context.tokens) for context in prompts.contexts]
    prefix = max(contexts) if setting == "icl" else 1
    own = keys_of(prompts, position)
    outputs = n * sum(_width(model, prompts, name, options, prefix, own) for name in options.names)
    outputs += n * (max(len(context.label_tokens) for context in prompts.contexts) + 1)
    recorded = tuple(dict.fromkeys(ATTENTION.get(name, name) for name in options.names if name != "logits"))
    row = Row([0] * own, (own - 1,))
    way = choose(model, Job([0] * prefix, [row, row], recorded), path)
    bytes_of = model.dtype.itemsize
    kept = 8 if bytes_of == 8 else 4
    weights = sum(parameter.tensor.numel() for parameter in model.parameters("all")) * bytes_of
    working = int(_SPREAD * _working(model, way, prefix, own, recorded) * max(bytes_of, 4))
    return MemoryEstimate(weights, outputs * kept, working, way)


def _width(model: ICLModel, prompts: PromptSet, name: str, options: Options, prefix: int, own: int) -> int:
    """Numbers per query of one site."""
    s = model.shape
    sizes = {"layer": len(options.layers), "head": s.n_heads, "kv_head": s.n_kv_heads, "d_head": s.d_head}
    sizes |= {"d_model": s.d_model, "d_vocab": s.d_vocab, "key": own, "context": prefix, "query": 1}
    width = prompts.k if options.position in DEMONSTRATION_POSITIONS else 1
    for axis in query_dims(name):
        width *= sizes[axis]
    return width


def _working(model: ICLModel, way: str, prefix: int, own: int, recorded: Sequence[str]) -> int:
    """Numbers that live at the height of a pass."""
    s = model.shape
    if way == "fast":
        tokens = max(chunk_tokens(model.device), own)
        rows = tokens // own + 1
        passing = max(prefix, tokens) * s.d_model * (6 + 2 * _MLP) + 2 * tokens * (prefix + tokens)
        reading = rows * max(s.d_vocab * 3, 0)
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
