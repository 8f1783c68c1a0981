"""Interleaved timing, memory of a process, and the floor that arithmetic sets."""

from __future__ import annotations

import ctypes
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from iclmech.captures import Activations
from iclmech.models.twin._onednn import linear, onednn_is_quicker
from iclmech.updates import WeightUpdate

_onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # not in every build of PyTorch


@dataclass
class Contender:
    """Something timed. `units`: how many units of work one call does; times are CPU seconds per unit."""

    name: str
    call: Callable[[], object]
    units: float = 1
    once: bool = False  # too slow for every round
    times: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """CPU seconds per unit."""
        return statistics.median(self.times)


def interleave(contenders: list[Contender], rounds: int, budget: float) -> None:
    """Each contender once per round, in turn, after one round that does not count; CPU seconds of the one thread.

    Stops after `rounds`, or before a round that would go past `budget` seconds by the clock.
    """
    begin = time.perf_counter()
    for number in range(rounds + 1):
        started = time.perf_counter()
        for contender in contenders:
            if contender.once and number != 1:
                continue
            gc.collect()
            before = time.process_time()
            contender.call()
            if number:
                contender.times.append((time.process_time() - before) / contender.units)
        now = time.perf_counter()
        if number > 1 and now + (now - started) > begin + budget:
            break


def ratio(rival: Contender, ours: Contender) -> tuple[float, float, float]:
    """How many times longer the rival takes: median, smallest and largest over the rounds."""
    rounds = [a / b for a, b in zip(rival.times, ours.times, strict=not rival.once)]
    return statistics.median(rounds), min(rounds), max(rounds)


def product_rate(rows: int = 320, inner: int = 768, columns: int = 3072) -> float:
    """Floating-point operations per CPU second of a plain matrix product, the best of several and of what libraries there are."""
    x, weight = torch.randn(rows, inner), torch.randn(columns, inner)
    products = [torch.nn.functional.linear]
    if onednn_is_quicker():
        products.append(lambda x, weight: linear(x, weight, None))
    best = 0.0
    for _ in range(10):
        for product in products:
            before = time.process_time()
            for _ in range(4):
                product(x, weight)
            best = max(best, 4 * 2 * rows * inner * columns / (time.process_time() - before))
    return best


def operations(call: Callable[[], object]) -> int:
    """Floating-point operations of matrix products and attention in a call."""

    def of_linear(x: list[int], weight: list[int], *more: object, **named: object) -> int:
        return 2 * math.prod(x) * weight[0]

    counter = FlopCounterMode(display=False, custom_mapping={_onednn: of_linear} if _onednn else {})
    with counter:
        call()
    return counter.get_total_flops()


def peak_bytes(call: Callable[[], object]) -> tuple[int, int]:
    """How far the process rises above where it stands while `call` runs, and the bytes of the tensors that it returns.

    What was built before does not count, and no memory is left over from it that could be used again unseen.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    kept = call()
    return _status("VmHWM") - before, _bytes_of(kept)


def _bytes_of(result: object) -> int:
    if isinstance(result, Tensor):
        return result.nbytes
    if isinstance(result, Activations):
        return sum(map(_bytes_of, [*(result[site] for site in result), result.label_scores, result.target_scores]))
    if isinstance(result, WeightUpdate):
        return _bytes_of(result.deltas)
    return sum(map(_bytes_of, result.values())) if isinstance(result, Mapping) else 0


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
