"""An experiment that needs no model: it counts, part by part, and takes as long as it is told."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import numpy as np
import xarray as xr

import iclmech as icl
from iclmech._base import Claim, ICLMechError, np_rng, provenance


@dataclass(frozen=True)
class CountRequest(icl.Request):
    """Random numbers, part by part."""

    n: int = 2
    """Numbers in a part."""
    word: str = "a"
    """Of which they are drawn."""
    seeds: int | tuple[int, ...] = 2
    """Parts."""
    rate: float | str = 1.0
    """Their scale."""
    pause: float = 0.0
    """Seconds that a part takes."""
    fail: str = ""
    """A word on which it fails; "!" before it: by killing its process; "#": by asking for memory."""
    log: str = ""
    """A file that gets a line for every part that is made."""


class Count(icl.Result):
    """`data`: value (seed, item) and its interval over both."""

    kind = "count"

    def judged(self):
        mean = float(self.data["mean"])
        return [
            Claim(
                "is above nothing",
                mean,
                mean,
                mean,
                "zero",
                "mean above zero",
                "holds" if mean > 0 else "does not hold",
            )
        ]


def part(request, seed):
    time.sleep(request.pause)
    if request.log:
        with open(request.log, "a") as file:
            file.write(f"{request.word} {request.n} {seed} {os.getpid()}\n")
    if request.fail == request.word:
        raise ICLMechError(f"the word {request.word!r} is not wanted;\nexpected another.")
    if request.fail == f"!{request.word}":
        os.kill(os.getpid(), signal.SIGKILL)
    if request.fail == f"#{request.word}":
        np.ones(2**30)
    return np_rng(seed, f"count {request.word}").normal(size=request.n) * request.rate


def run(request, *, progress, cells):
    seeds = range(request.seeds) if isinstance(request.seeds, int) else request.seeds
    values = np.stack([cells.once(f"seed {s}", lambda s=s: part(request, s)) for s in seeds])
    spread = values.std()
    data = xr.Dataset(
        {
            "value": (("seed", "item"), values),
            "mean": ((), values.mean()),
            "mean_ci": (("bound",), [values.mean() - spread, values.mean() + spread]),
            "first": (("n",), values[:1, 0]),
            "name": ((), np.array(request.word, dtype=object)),
            "n_items": ((), np.int64(request.n)),
        },
        {"seed": list(seeds), "bound": ["low", "high"]},
    )
    return Count(data, provenance=provenance())


COUNT = icl.Experiment("count", CountRequest, run, "Counting.", needs=(), result="counting:Count", keeps=True)
icl.register("experiment", "count", COUNT)
