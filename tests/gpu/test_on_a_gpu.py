"""On a GPU: captures, updates and weights beside those of the CPU, and the speed beside TransformerLens' own.

`make gpu` runs these where there is one; the ratios stand in its output.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

import iclmech as icl

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
SITES = ("attn_out", "resid_post", "attn_pattern")
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 6e-2, torch.float16: 2e-2}


@pytest.fixture(scope="module")
def models() -> Callable[[str, torch.dtype], Any]:
    """`models(device, dtype)`: icl-mini there, loaded once."""
    loaded: dict[tuple[str, torch.dtype], Any] = {}

    def load(device: str, dtype: torch.dtype = torch.float32) -> Any:
        if (device, dtype) not in loaded:
            loaded[device, dtype] = icl.load_model("icl-mini", device=device, dtype=dtype)
        return loaded[device, dtype]

    return load


def prompts_of(model: Any) -> Any:
    return icl.build_prompts(model, icl.load_task("mini/sentiment"), k=8, n_queries=16)


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    seen = ~torch.isnan(expected)
    return float((found.float() - expected.float())[seen].abs().max() / (1 + expected.float()[seen].abs().max()))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("path", ["fast", "cached", "uncached"])
def test_captures_are_those_of_the_cpu(path, dtype, models):
    cpu, gpu = models("cpu"), models("cuda", dtype)
    prompts = prompts_of(cpu)
    a, b = icl.capture(cpu, prompts, "icl", SITES), icl.capture(gpu, prompts, "icl", SITES, path=path)
    for site in SITES:
        assert b[site].device.type == "cpu"
        assert b[site].dtype == torch.float32
        assert apart(b[site], a[site]) < TOLERANCE[dtype], site
    assert apart(b.label_scores, a.label_scores) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("method", ["gradient_descent", "layer_causal_gd"])
def test_updates_are_those_of_the_cpu_and_leave_no_trace(method, dtype, models):
    cpu, gpu = models("cpu"), models("cuda", dtype)
    prompts, before = prompts_of(cpu), gpu.hash()
    a, b = (getattr(icl, method)(model, prompts, lr=0.01) for model in (cpu, gpu))
    for name, delta in a.deltas.items():
        assert b.deltas[name].dtype == torch.float32
        assert float((b.deltas[name] - delta).norm() / delta.norm()) < 10 * TOLERANCE[dtype], name
    with b.applied(gpu):
        assert gpu.hash() != before
    assert gpu.hash() == before


def test_a_default_device_changes_nothing(models):
    gpu = models("cuda")
    prompts = prompts_of(gpu)
    expected = icl.capture(gpu, prompts, "icl", SITES)
    torch.set_default_device("cuda")
    try:
        found = icl.capture(gpu, prompts, "icl", SITES)
    finally:
        torch.set_default_device(None)
    assert all(torch.equal(found[s].nan_to_num(7), expected[s].nan_to_num(7)) for s in SITES)


def seconds(run: Callable[[], Any]) -> float:
    run()
    times = []
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[2]


def test_speed_beside_transformer_lens(models, capsys):
    model = models("cuda")
    prompts = prompts_of(model)
    rows = [[*prompts.contexts[q.context].tokens, *q.tokens] for q in prompts.queries]

    def run_with_cache() -> None:
        for row in rows:
            with torch.no_grad():
                model.hooked.run_with_cache(torch.tensor([row], device="cuda"))

    ours = seconds(lambda: icl.capture(model, prompts, "icl", SITES))
    theirs = seconds(run_with_cache)
    with capsys.disabled():
        print(
            f"\ncapture of {len(rows)} queries: {ours:.4f} s; run_with_cache: {theirs:.4f} s; ratio {theirs / ours:.2f}"
        )
    assert ours < theirs
