"""Peak memory of one piece of work in a process of its own, above weights that are already there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch

from iclmech.captures import capture
from iclmech.updates import layer_causal_gd

from . import _rivals
from ._measure import peak_bytes
from ._world import model_of, plain_model, prompts_of

Strategy = Literal["batched", "layerwise"]
Loss = Literal["label", "all"]
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


def lcgd_ours(shape: str, n: int, strategy: Strategy, loss: Loss) -> Callable[[], object]:
    """One LCGD step on each of n demonstrations, after others that build what is built once."""
    model, prompts = model_of(shape), prompts_of(1, n)
    layer_causal_gd(model, prompts, lr=1e-3, strategy=strategy, loss=loss)
    return lambda: layer_causal_gd(model, prompts, lr=1e-3, strategy=strategy, loss=loss)


def lcgd_papers(shape: str, n: int, loss: Loss) -> Callable[[], object]:
    """The papers' way, on one demonstration."""
    plain, prompts = plain_model(shape), prompts_of(1, n)
    return lambda: _rivals.papers_lcgd(plain, prompts.demonstrations[0], 1e-3, loss)


WORK: dict[str, tuple[Callable[[str, int], Callable[[], object]], int]] = {
    "ICL capture, N=16": (capture_ours, 16),
    "ICL capture, N=64": (capture_ours, 64),
    "ICL capture, N=256": (capture_ours, 256),
    "TransformerLens, 1 prompt": (capture_transformerlens, 1),
    "TransformerLens, 8 prompts": (capture_transformerlens, 8),
    "LCGD, label loss, batched": (partial(lcgd_ours, strategy="batched", loss="label"), 1),
    "LCGD, label loss, layerwise": (partial(lcgd_ours, strategy="layerwise", loss="label"), 1),
    "LCGD, label loss, the papers' way": (partial(lcgd_papers, loss="label"), 1),
    "LCGD, all loss, batched": (partial(lcgd_ours, strategy="batched", loss="all"), 1),
    "LCGD, all loss, layerwise": (partial(lcgd_ours, strategy="layerwise", loss="all"), 1),
    "LCGD, all loss, the papers' way": (partial(lcgd_papers, loss="all"), 1),
}
"""What is measured, and with how many queries, prompts or demonstrations."""


def measure_here(title: str, shape: str) -> None:
    """What the child process does: prints bytes, the peak's and the result's."""
    torch.set_num_threads(1)
    make, n = WORK[title]
    print(*peak_bytes(make(shape, n)))


def in_child(title: str, shape: str) -> tuple[float, float]:
    """MB above what was there before, and of these the result's."""
    command = [sys.executable, "-m", "benchmarks", "--memory", title, shape]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, result = done.stdout.strip().splitlines()[-1].split()
    return int(peak) / 1e6, int(result) / 1e6
