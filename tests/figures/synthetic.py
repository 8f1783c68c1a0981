"""Results without a model: numbers drawn at random, put into arrays by the code that does it for real runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from iclmech._base import to_ascii_json
from iclmech.experiments import Comparison
from iclmech.experiments.comparison._dataset import Extent, gather
from iclmech.experiments.comparison._plan import Plan, controls_of, updates_of
from iclmech.experiments.comparison._rate_curve import RateCurve
from iclmech.experiments.comparison._rates import DEFAULT_GRID
from iclmech.experiments.comparison._records import Records
from iclmech.experiments.comparison._request import CompareRequest

HOSTILE = '<script>window.hacked=1</script>"\'</textarea><img src=x onerror="window.hacked=1">'
HOSTILE_LINK = '<a href="javascript:window.hacked=1">click</a> $x$ %{x} \u202eevil'


def plan_of(
    seeds: int = 3,
    n_queries: int = 24,
    rates: tuple[float, ...] | None = None,
    updates: tuple[str, ...] = ("gd", "lcgd"),
) -> Plan:
    request = CompareRequest(
        n_queries=n_queries, seeds=seeds, updates=updates, n_boot=100, n_examples=2, lr=rates or "auto"
    )
    return Plan(
        request, seeds=tuple(range(seeds)), updates=updates_of(updates, "label", "attn_kv", dict.fromkeys(updates, print)),
        rates=None if rates is None else dict.fromkeys(updates, rates), controls=controls_of(("all",))[0], demanded=(), metrics={},
        loss="label", parameters="attn_kv", position="prediction", separator=None, selection="random", wrong_task=None,
        sites=("attn_out", "attn_scores"), direction="gaussian",
    )  # fmt: skip


def comparison(
    n_layers: int = 4, n_heads: int = 8, *, seeds: int = 3, n_queries: int = 24, rates: tuple[float, ...] | None = None,
    label_words: tuple[str, ...] = ("negative", "positive"), task: str = "mini/sentiment", trained_effect: float = 0.15,
    examples: bool = True, texts: tuple[str, ...] = ("the film was dull and slow",), notes: tuple[str, ...] = (),
    updates: tuple[str, ...] = ("gd", "lcgd"), context: int = 60,
) -> Comparison:  # fmt: skip
    """A comparison as `compare` returns it. `trained_effect`: how far the trained model's SimAOU lies above the untrained one's."""
    plan = plan_of(seeds, n_queries, rates, updates)
    extent = Extent(plan, len(rates or (0,)), n_layers, n_heads)
    records = _records(plan, extent, trained_effect)
    curve = None if rates else _curve(plan, n_layers)
    chosen = {u: (DEFAULT_GRID[int(np.nanargmin(curve.label_nll[i]))],) for i, u in enumerate(updates)} if curve else {}
    means = gather(records, extent, curve, {u: rates or chosen[u] for u in updates})
    origin = {
        "iclmech": "0.1.0", "kind": "compare", "k": 32, "k_requested": 32, "k_by_seed": [32] * seeds, "n_queries": n_queries,
        "model": {"name": "icl-mini", "hash": "0f3a", "backend": "bridge", "device": "cpu", "dtype": "float32",
                  "n_layers": n_layers, "n_heads": n_heads, "d_model": 64},
        "task": {"name": task, "hash": "9b1c", "label_words": list(label_words), "template": "Review: {text}\nSentiment:"},
        "plan": plan.record(), "request": {**plan.request.record(), "task": task}, "notes": list(notes), "dropped": [{} for _ in range(seeds)],
    }  # fmt: skip
    means.attrs = {"n_queries": n_queries, "provenance": to_ascii_json(origin)}
    shown = _examples(extent, label_words, texts, context) if examples else xr.Dataset()
    return Comparison(means, None, shown)


def _records(plan: Plan, extent: Extent, effect: float) -> Records:
    draw = np.random.default_rng(0)
    records = Records()
    n, layers, heads = plan.request.n_queries, extent.n_layers, extent.n_heads
    depth = np.linspace(0, 1, layers)
    noise = draw.normal(0, 0.08, (n, 1))
    level = {"random_direction": 0.0, "icl:reordered": 0.8}
    for variant in plan.variants:
        for seed in plan.seeds:
            shift = draw.normal(0, 0.02)
            for name in extent.names("comparison"):
                update, _, control = name.partition(":")
                if variant == "untrained" and control in ("shuffled_labels", "wrong_task"):
                    continue
                base = level.get(
                    name,
                    0.28
                    if not control
                    else {"matched_update": 0.18, "random_update": 0.18, "shuffled_labels": 0.25}.get(control, 0.22),
                )
                own = effect if variant == "trained" and not control and update in plan.updates else 0.0
                for position in range(extent.n_rates) if update in plan.updates else [None]:
                    cell = (name, variant, seed, position)
                    by_layer = (
                        base + own * (0.5 + depth) + 0.1 * np.sin(3 * depth) * (base > 0) + 0.02 * (position or 0)
                    )
                    aou = by_layer + noise + shift + draw.normal(0, 0.06, (n, layers))
                    am = (
                        by_layer[:, None]
                        + draw.normal(0, 0.3, (layers, heads))
                        + draw.normal(0, 0.1, (n, layers, heads))
                    )
                    am[:, 0] = np.nan  # rotary: the scores of layer 0 do not move
                    for measure, value in (("sim_aou", aou), ("sim_am", am), ("null_closed_form", 0.5 * np.abs(aou))):
                        records.compared.setdefault(measure, {})[cell] = value.astype(np.float32)
                    if update in plan.updates:
                        records.relative_norm[cell] = 0.01 * (1 + (position or 0))
            for name in extent.names("setting"):
                p = {"zs": 0.62, "icl": 0.95}.get(name, 0.8 if name in ("ft:gd", "ft:lcgd") else 0.6)
                p = p if variant == "trained" else 0.5
                for position in range(extent.n_rates) if name.startswith("ft") else [None]:
                    own = np.random.default_rng([*map(ord, f"{name} {variant}"), seed])  # whatever else there is
                    right = (own.random(n) < p).astype(np.float32)
                    records.single.setdefault("accuracy", {})[name, variant, seed, position] = right
                    records.single.setdefault("label_nll", {})[name, variant, seed, position] = 1.2 - right
    return records


def _curve(plan: Plan, n_layers: int) -> RateCurve:
    shape = (len(plan.updates), len(DEFAULT_GRID))
    x = np.linspace(-2, 1.5, shape[1])
    nll = 0.4 + 0.1 * (x - np.array([0.1, 0.6])[: shape[0], None]) ** 2
    sim = np.clip(0.1 + 0.12 * (x + 2), 0, 1)[:, None] * np.ones((*shape, 1)) * np.linspace(0.8, 1.2, n_layers)
    nll[:, -1] = np.nan
    accuracy = np.where(np.isnan(nll), np.nan, 1.2 - nll)
    return RateCurve(
        DEFAULT_GRID, nll, accuracy, np.geomspace(1e-4, 0.5, shape[1]) * np.ones(shape), sim, 0.69, 0.2, 128
    )


def _examples(extent: Extent, words: tuple[str, ...], texts: tuple[str, ...], context: int) -> xr.Dataset:
    draw = np.random.default_rng(1)
    metas: list[dict[str, Any]] = []
    for text in texts:
        tokens, roles = ["<bos>"], ["bos"]
        while len(tokens) < context:
            word = words[len(tokens) % len(words)]
            piece = [("Review", "template"), (":", "template"), (" a", "text"), (" dull", "text"), (" film", "text"), ("\n", "template"),
                     ("Sentiment", "template"), (":", "forerunner"), (f" {word}", "label"), ("\n\n", "separator")]  # fmt: skip
            tokens += [t for t, _ in piece]
            roles += [r for _, r in piece]
        n_context = len(tokens)
        query = [
            ("Review", "template"),
            (":", "template"),
            *((f" {w}", "text") for w in text.split(" ")),
            (":", "forerunner"),
        ]
        tokens += [t for t, _ in query]
        roles += [r for _, r in query]
        probs = [1 / len(words)] * len(words)
        metas.append({
            "tokens": tokens, "roles": roles, "n_context": n_context, "text": text, "label": 0, "label_words": list(words),
            "label_probs": dict.fromkeys(("zs", "icl", "ft:gd"), probs),
        })  # fmt: skip
    width = max(len(m["tokens"]) for m in metas)
    pattern = np.full((len(metas), 3, extent.n_layers, extent.n_heads, width), np.nan, np.float32)
    for j, meta in enumerate(metas):
        n, c = len(meta["tokens"]), meta["n_context"]
        for s in range(3):
            at = np.arange(n) if s == 1 else np.r_[0, c:n]
            weights = draw.gamma(0.2, size=(extent.n_layers, extent.n_heads, len(at)))
            pattern[j, s][..., at] = weights / weights.sum(-1, keepdims=True)
    return xr.Dataset(
        {"pattern": (("example", "setting", "layer", "head", "token"), pattern),
         "meta": ("example", np.array([to_ascii_json(m) for m in metas], dtype=object))},
        {"setting": np.array(["zs", "icl", "ft:gd"], dtype=object)},
        {"variant": "trained", "seed": 0, "position": "prediction"},
    )  # fmt: skip


def large(**kwargs: Any) -> Comparison:
    """48 layers, 64 heads, long label words."""
    words = ("an exceedingly long label word indeed", "another quite improbable label")
    return comparison(48, 64, n_queries=8, label_words=words, context=80, **kwargs)


def empty() -> Comparison:
    """A comparison of which every value is masked."""
    result = comparison(2, 2, n_queries=4, examples=False)
    blank = {n: (v.dims, np.full(v.shape, np.nan)) for n, v in result.means.data_vars.items() if v.dtype.kind == "f"}
    return Comparison(result.means.assign(blank))


def hostile() -> Comparison:
    """Texts, labels, task names and notes that try to be code."""
    return comparison(
        label_words=(HOSTILE, HOSTILE_LINK),
        task=HOSTILE,
        texts=(f"{HOSTILE} here", HOSTILE_LINK),
        notes=(HOSTILE, HOSTILE_LINK),
    )


def trajectory(n_layers: int) -> xr.Dataset:
    """What `shift_plane` returns."""
    t = np.linspace(0, 1, n_layers)
    paths = [np.stack([t, 0.6 * t**2], 1), np.stack([0.7 * t, 0.1 * np.sin(4 * t)], 1), np.stack([0.5 * t, 0.5 * t], 1)]
    return xr.Dataset(
        {"trajectory": (("setting", "layer", "component"), np.stack(paths)), "explained": ("component", [0.61, 0.2])},
        {"setting": ["icl", "ft:gd", "ft:lcgd"], "layer": np.arange(n_layers), "component": [1, 2]},
        {"n_queries": 256},
    )


def lens(n_layers: int) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """What `label_trajectory` gives in three settings, and label words."""
    draw = np.random.default_rng(2)
    up = np.linspace(-9, 0, n_layers)[:, None] * np.array([0.9, 1.1])
    words = (
        ("negative", "positive")
        if n_layers < 12
        else ("an exceedingly long label word indeed", "another quite improbable label")
    )
    return {s: up - 1 - i + draw.normal(0, 0.5, (32, n_layers, 2)) for i, s in enumerate(("zs", "icl", "ft:gd"))}, words


def circuit() -> xr.Dataset:
    """The variables of an inference circuit that its diagram draws."""
    edges = ["x->s", "s->y", "y->s_q", "x_q->s_q", "x+s->y", "y->x_q+s_q"]
    arms = ["cut", "random", "mass"]
    lost = np.array(
        [
            [0.21, 0.02, 0.05],
            [0.08, 0.03, 0.02],
            [0.41, 0.01, 0.1],
            [0.03, 0.02, 0.02],
            [0.3, 0.02, 0.1],
            [0.5, 0.03, 0.2],
        ]
    )
    excess = lost[:, :1] - lost[:, 1:]
    half = 0.04
    return xr.Dataset(
        {
            "lost": (("edge", "arm"), lost), "lost_ci": (("edge", "arm", "bound"), np.stack([lost - half, lost + half], -1)),
            "excess": (("edge", "control"), excess), "excess_ci": (("edge", "control", "bound"), np.stack([excess - half, excess + half], -1)),
            "mass_cut": (("edge", "arm"), np.array([[0.31, 0.02, 0.3], [0.55, 0.02, 0.5], [0.62, 0.05, 0.41], [0.2, 0.03, 0.2], [0.5, 0.03, 0.4], [0.7, 0.05, 0.5]])),
            "window_first": ("edge", [0, 0, 2, 0, 0, 2]), "window_last": ("edge", [1, 1, 3, 0, 1, 3]),
        },
        {"edge": edges, "arm": arms, "control": arms[1:], "bound": ["low", "high"]},
    )  # fmt: skip


def history() -> list[dict[str, Any]]:
    """Rows of a training history: three seeds, an abrupt rise."""
    rows = []
    for seed in range(3):
        for step in range(0, 7001, 250):
            rise = 1 / (1 + np.exp(-(step - 2500 - 300 * seed) / 250))
            rows.append({
                "seed": seed, "step": step, "tokens": 2048 * step, "in_weights": 0.5 + 0.3 * step / 7000, "held-pair@16": 0.5 + 0.49 * rise,
                "held-pair@1": 0.5, "held-topic@16": 0.25 + 0.7 * rise, "prefix_matching": 0.9 * rise, "previous_token": min(1.0, step / 2500),
            })  # fmt: skip
    return rows
