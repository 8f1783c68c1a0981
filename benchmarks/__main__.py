"""`python -m benchmarks`: every table. `--quick`: one small round of each.

`--only capture,steps,grid,doors,memory,compare,stack,functions,head_effects`.
"""

from __future__ import annotations

import argparse
import statistics

import torch

from . import _cases, _compare, _doors, _functions, _head_effects, _memory, _stack
from ._measure import interleave, operations, product_rate, ratio


def show(case: _cases.Case, rounds: int, budget: float, rate: float) -> None:
    """Time a case and print it as a table of ratios."""
    interleave(case.contenders, rounds, budget)
    ours = case.contenders[0]
    print(f"\n## {case.title}  ({len(ours.times)} rounds)\n")
    print(f"{'':28} {'CPU s':>9} {'ratio':>7} {'from':>7} {'to':>7}   aim")
    print(f"{ours.name:28} {ours.median:9.4f} {'1':>7}")
    for rival in case.contenders[1:]:
        median, low, high = ratio(rival, ours)
        target = case.targets.get(rival.name) if rounds > 1 else None  # aims are for the full size
        aim = "" if target is None else f"≥ {target:g}  {'reached' if median >= target else 'MISSED'}"
        print(f"{rival.name:28} {rival.median:9.4f} {median:7.2f} {low:7.2f} {high:7.2f}   {aim}")
    if case.work is not None:
        flops = operations(case.work) / case.work_units
        floor = flops / rate
        print(
            f"floor: {flops / 1e9:.2f} GFLOP at {rate / 1e9:.1f} GFLOP/s = {floor:.4f} s, {floor / ours.median:.0%} of our time"
        )


def memory(shape: str) -> None:
    """Peak memory above the weights, one process each."""
    print(f"\n## Peak memory above the weights, {shape}, MB\n")
    print(f"{'':34} {'peak':>9} {'result':>9} {'without':>9}")
    for title in _memory.WORK:
        peak, result = _memory.in_child(title, shape)
        print(f"{title:34} {peak:9.0f} {result:9.0f} {peak - result:9.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="capture,steps,grid,doors,memory,compare,stack,functions,head_effects")
    parser.add_argument("--shapes", default="small,medium")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for one table")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.memory:
        _memory.measure_here(*chosen.memory)
        return
    rounds = 1 if chosen.quick else chosen.rounds
    wanted = chosen.only.split(",")
    rates = [product_rate() for _ in range(3)]
    rate = statistics.median(rates)
    print(
        f"one thread, torch {torch.__version__}, CPU seconds of the process; matrix products {rate / 1e9:.1f} GFLOP/s"
    )
    for shape in chosen.shapes.split(","):
        if "capture" in wanted:
            for n in (8,) if chosen.quick else (64, 256) if shape == "small" else (64,):
                show(_cases.captures(shape, n, chosen.quick), rounds, chosen.budget, rate)
        if "steps" in wanted:
            for loss in ("label", "all"):
                show(_cases.steps(shape, loss, chosen.quick), rounds, chosen.budget, rate)
        if "grid" in wanted and shape == "small":
            show(_cases.grid(shape, chosen.quick), rounds, chosen.budget, rate)
        if "doors" in wanted and shape == "small":
            for case in (_doors.edit, _doors.variants, _doors.prefixes):
                show(case(chosen.quick), rounds, chosen.budget, rate)
        if "memory" in wanted:
            memory(shape)
        if "compare" in wanted and shape == "small":
            _compare.show(shape, chosen.quick)
    if "stack" in wanted:
        for case in _stack.all_of_them(chosen.quick):
            show(case, rounds if chosen.quick else 4 * rounds, chosen.budget, rate)
    if "functions" in wanted:
        for case in (_functions.neighbours, _functions.ngrams):
            show(case(chosen.quick), rounds, chosen.budget, rate)
    if "head_effects" in wanted:
        for case in _head_effects.effects(chosen.quick):
            show(case, rounds, chosen.budget, rate)


main()
