"""Peak memory of one piece of work in a process of its own, above weights that are already there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import torch

from iclmech.capture import capture
from iclmech.updates import layer_causal_gd

from . import _rivals
from ._measure import peak_bytes
from ._world import model_of, plain_model, prompts_of

SITES = ("attn_out", "resid_post", "attn_scores")


def capture_ours(shape: str, n: int) -> Callable[[], object]:
    """A capture of n queries, after a small one that builds what is built once."""
    model, prompts = model_of(shape), prompts_of(n)
    capture(model, prompts_of(1, 1), "icl", SITES)
    return lambda: capture(model, prompts, "icl", SITES)


def capture_transformerlens(shape: str, n: int) -> Callable[[], object]:
    """Whole prompts through TransformerLens, n at a time."""
    model, prompts = model_of(shape), prompts_of(n)
    return lambda: _rivals.transformerlens(model, prompts, list(range(n)), n)


def lcgd_ours(shape: str, n: int) -> Callable[[], object]:
    """One LCGD step, batched (n even) or layerwise, label loss (n < 2) or all; after one that builds what is built once."""
    model, prompts = model_of(shape), prompts_of(1, 1)
    strategy, loss = "layerwise" if n % 2 else "batched", "label" if n < 2 else "all"
    layer_causal_gd(model, prompts, lr=1e-3, strategy=strategy, loss=loss)
    return lambda: layer_causal_gd(model, prompts, lr=1e-3, strategy=strategy, loss=loss)


def lcgd_papers(shape: str, n: int) -> Callable[[], object]:
    """One step the papers' way, label loss (n=0) or all."""
    plain, prompts = plain_model(shape), prompts_of(1, 1)
    return lambda: _rivals.papers_lcgd(plain, prompts.demonstrations[0], 1e-3, "all" if n else "label")


WORK = {f.__name__: f for f in (capture_ours, capture_transformerlens, lcgd_ours, lcgd_papers)}


def measure_here(name: str, shape: str, n: int) -> None:
    """What the child process does: prints bytes, the peak's and the result's."""
    torch.set_num_threads(1)
    print(*peak_bytes(WORK[name](shape, n)))


def in_child(name: str, shape: str, n: int = 0) -> tuple[float, float]:
    """MB above what was there before, and of these the result's."""
    command = [sys.executable, "-m", "benchmarks", "--memory", name, shape, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, result = done.stdout.strip().splitlines()[-1].split()
    return int(peak) / 1e6, int(result) / 1e6
