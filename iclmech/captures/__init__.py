"""Capture: prompts through the model, the demonstrations encoded once, states kept at one position of each query."""

from __future__ import annotations

from iclmech._base import SITES as SITES

from ._activations import Activations as Activations
from ._capture import capture as capture
from ._long_rows import LongRows as LongRows, RowPrompts as RowPrompts
from ._memory import MemoryEstimate as MemoryEstimate, estimate_memory as estimate_memory
from ._positions import Position as Position
from ._prefix_queries import PrefixQueries as PrefixQueries, queries_at_prefixes as queries_at_prefixes
from ._prompt_rows import Setting as Setting
from ._run import iter_run as iter_run
from ._run_rows import Chunk as Chunk, Path as Path, Row as Row, Tokens as Tokens
from ._session import Session as Session
from ._stream import iter_capture as iter_capture
from ._target_gradients import TargetGradients as TargetGradients, target_gradients as target_gradients
from ._variants import VariantActivations as VariantActivations, capture_variants as capture_variants
