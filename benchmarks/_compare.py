"""What a whole comparison costs, put together from measured parts: an extrapolation, and called one."""

from __future__ import annotations

import time
from collections.abc import Callable

from iclmech.captures import capture
from iclmech.updates import gradient_descent, layer_causal_gd

from . import _rivals
from ._world import model_of, plain_model, prompts_of

K, QUERIES, SEEDS = 32, 872, 3
SITES = ("attn_out", "resid_post", "attn_scores")


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of the faster of two calls; the first one also builds what is built once."""
    found = []
    for _ in range(2):
        before = time.process_time()
        call()
        found.append(time.process_time() - before)
    return min(found)


def show(shape: str, quick: bool) -> None:
    """k=32, 872 queries, GD and LCGD, three seeds: captures under ICL and ZS, an update of each kind, captures after it."""
    model, plain = model_of(shape), plain_model(shape)
    small, large, steps = (4, 12, 2) if quick else (16, 80, 8)
    one, other = prompts_of(small, K), prompts_of(large, K)
    demonstrations = one.demonstrations[:steps]

    def per_query(setting: str) -> tuple[float, float]:
        """Fixed seconds and seconds per query, from two sizes."""
        few, many = (seconds(lambda p=p: capture(model, p, setting, SITES)) for p in (one, other))
        slope = (many - few) / (large - small)
        return max(0.0, few - slope * small), slope

    icl, zs = per_query("icl"), per_query("zs")
    update = sum(
        seconds(lambda f=f: f(model, demonstrations, lr=1e-3)) / steps * K for f in (gradient_descent, layer_causal_gd)
    )
    ours = SEEDS * (icl[0] + QUERIES * icl[1] + update) + (1 + 2 * SEEDS) * (zs[0] + QUERIES * zs[1])
    queries = [0] if quick else [0, 1]
    rival_icl = seconds(lambda: _rivals.transformerlens(model, one, queries, 1)) / len(queries)
    bare = prompts_of(4, 0)
    rival_zs = seconds(lambda: _rivals.transformerlens(model, bare, [0, 1, 2, 3], 1)) / 4
    rival_update = K * sum(
        seconds(lambda f=f: f(plain, demonstrations[0], 1e-3, "label"))
        for f in (_rivals.papers_lcgd, _rivals.vanilla_gd)
    )
    theirs = SEEDS * (QUERIES * rival_icl + rival_update) + (1 + 2 * SEEDS) * QUERIES * rival_zs
    print(
        f"\n## compare, {shape}, k={K}, {QUERIES} queries, GD and LCGD, {SEEDS} seeds — EXTRAPOLATED from measured parts\n"
    )
    print(f"{'':28} {'CPU s':>9} {'icl/query':>10} {'zs/query':>10} {'updates':>9}")
    print(f"{'iclmech':28} {ours:9.0f} {icl[1]:10.4f} {zs[1]:10.4f} {update:9.2f}")
    print(f"{'the papers’ way':28} {theirs:9.0f} {rival_icl:10.4f} {rival_zs:10.4f} {rival_update:9.2f}")
    verdict = "reached" if theirs / ours >= 20 else "MISSED"
    print(f"ratio {theirs / ours:.1f}   aim ≥ 20  {verdict}")
