"""The check that every model passes at construction: what is asked of it is right, or it is refused by name.

A hook's name is no promise. On some families the score hook holds the pattern, on others an edit of the pattern is
thrown away. A few tokens tell; the ways that were found right are kept in `Capabilities`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from iclmech._base import BackendError, rng

from ._protocol import Backend, Capabilities, HookFn, ScoreSource, ScoreWay
from ._scores import SCORE_TAPS, scores_from_taps, softmax_allowed
from ._verified import close

_SITES = (
    "resid_pre",
    "resid_post",
    "attn_out",
    "mlp_out",
    "q",
    "k",
    "v",
    "z",
    "attn_scores",
    "attn_pattern",
    "rot_q",
    "rot_k",
)
_NEEDED = ("resid_pre", "resid_post", "attn_out", "q", "k", "v", "z", "attn_pattern")


@contextlib.contextmanager
def hooked(backend: Backend, specs: Iterable[tuple[str, int, HookFn]]) -> Iterator[None]:
    """Place hooks (site, layer, function) for the length of a block; only these are removed, whatever happens."""
    placed = []
    try:
        for site, layer, function in specs:
            point = backend.point(site, layer)
            if point is None:
                raise BackendError(f"{backend.kind} has no hook for {site} in layer {layer}.")
            point.add_hook(lambda tensor, hook, function=function: function(tensor))  # type: ignore[operator]
            placed.append((point, point.fwd_hooks[-1]))  # type: ignore[index]
        yield
    finally:
        for point, handle in placed:
            handle.hook.remove()
            if handle in point.fwd_hooks:
                point.fwd_hooks.remove(handle)


def probe_tokens(d_vocab: int, n_ctx: int, windows: list[int | None]) -> Tensor:
    """Two rows of seeded ids, longer than the widest attention window where that is short enough to try."""
    length = max(8, *(window + 3 for window in windows if window and window <= 512), 0)
    return torch.randint(0, d_vocab, (2, min(length, n_ctx)), generator=rng(0, "selfcheck"))


def check(backend: Backend, plain: tuple[Tensor, Tensor] | None = None) -> Capabilities:
    """Run the checks and return what works.

    `plain`: tokens, and the logits that the same weights give on them outside TransformerLens, where they are known.
    Raises `BackendError` that names what is wrong and on which layer.
    """
    shape = backend.shape
    tokens = plain[0] if plain else probe_tokens(shape.d_vocab, shape.n_ctx, backend.local_windows())
    tokens = tokens.to(backend.key_value_parameters()[0].tensor.device)
    with torch.no_grad():
        seen, logits = _record(backend, tokens)
        dtype = logits.dtype
        _require(
            plain is None or close(logits, plain[1], dtype), "the hooked logits differ from those of the plain model"
        )
        parallel = _check_residual(backend, seen, dtype)
        _require(
            close(backend.readout(seen[-1]["resid_post"]), logits, dtype),
            "unembed(ln_final(resid_post)) of the last layer differs from the logits",
        )
        scores = _choose_scores(backend, seen, dtype)
        edits = _choose_edits(backend, tokens, logits)
        cache = _cache_works(backend, tokens, logits, dtype)
    notes = (
        ("forward", "equals the plain model" if plain else "not compared: no independent copy of the model at hand"),
        ("scores", f"from {scores.source} hooks, scale {scores.scale:.4g}"),
        ("edits", f"through {edits}"),
        ("cache", "equals the whole prompt" if cache else "not used: prompts are run whole"),
    )
    return Capabilities(scores, edits, cache, parallel, notes)


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise BackendError(
            f"self-check failed: {text}. This model is refused, because numbers read from it would be wrong; "
            "load another family, or an unprocessed TransformerBridge of this one."
        )


def _record(backend: Backend, tokens: Tensor) -> tuple[list[dict[str, Tensor]], Tensor]:
    seen: list[dict[str, Tensor]] = [{} for _ in range(backend.shape.n_layers)]

    def keeper(site: str, layer: int) -> HookFn:
        def keep(tensor: Tensor) -> None:
            seen[layer][site] = tensor.detach().clone()

        return keep

    present = [(s, n) for n in range(backend.shape.n_layers) for s in _SITES if backend.point(s, n) is not None]
    with hooked(backend, [(site, layer, keeper(site, layer)) for site, layer in present]):
        logits = backend.forward(tokens)
    for layer, sites in enumerate(seen):
        missing = [site for site in _NEEDED if site not in sites]
        _require(not missing, f"layer {layer} shows no {', '.join(missing)}")
    _require(logits is not None and bool(torch.isfinite(logits).all()), "the logits are not finite")
    return seen, logits  # type: ignore[return-value]  # required above


def _check_residual(backend: Backend, seen: list[dict[str, Tensor]], dtype: torch.dtype) -> bool:
    for layer, s in enumerate(seen):
        total = s["resid_pre"] + s["attn_out"] + s.get("mlp_out", 0)
        _require(
            close(total, s["resid_post"], dtype), f"resid_pre + attn_out + mlp_out is not resid_post in layer {layer}"
        )
    return backend.point("resid_mid", 0) is None and backend.point("mlp_out", 0) is not None


def _choose_scores(backend: Backend, seen: list[dict[str, Tensor]], dtype: torch.dtype) -> ScoreWay:
    """The first way whose softmax is the pattern in every layer; the hook only if it also is scale · q·k."""
    computed = None
    sources: tuple[ScoreSource, ...] = ("rotated", "native_rotary", "plain")
    for source in sources:
        if not all(tap in s for s in seen for tap in SCORE_TAPS[source]):
            continue
        if source == "native_rotary" and backend.rotate(0, seen[0]["q"], seen[0]["k"], 0) is None:
            continue
        for scale in backend.score_scales():
            if computed is None and _softmax_is_pattern(backend, ScoreWay(source, scale), seen, dtype):
                computed = ScoreWay(source, scale)
    hook = ScoreWay("hook", computed.scale if computed else backend.score_scales()[0])
    if all("attn_scores" in s for s in seen) and _softmax_is_pattern(backend, hook, seen, dtype):
        if computed is None:
            _require(
                _rows_start_right(backend, seen, dtype),
                "the score hook is no multiple of q·k, and no other way gives the pattern",
            )
            return hook
        same = (_same_scores(backend, hook, computed, layer, s, dtype) for layer, s in enumerate(seen))
        if all(same):
            return hook
    _require(computed is not None, "no way of computing scores reproduces the attention pattern")
    return computed  # type: ignore[return-value]  # required above


def _softmax_is_pattern(backend: Backend, way: ScoreWay, seen: list[dict[str, Tensor]], dtype: torch.dtype) -> bool:
    return all(
        close(softmax_allowed(scores_from_taps(backend, way, layer, s)), s["attn_pattern"], dtype)
        for layer, s in enumerate(seen)
    )


def _same_scores(
    backend: Backend, one: ScoreWay, other: ScoreWay, layer: int, s: dict[str, Tensor], dtype: torch.dtype
) -> bool:
    a, b = scores_from_taps(backend, one, layer, s), scores_from_taps(backend, other, layer, s)
    return bool(torch.equal(torch.isnan(a), torch.isnan(b))) and close(a.nan_to_num(), b.nan_to_num(), dtype)


def _rows_start_right(backend: Backend, seen: list[dict[str, Tensor]], dtype: torch.dtype) -> bool:
    """Hidden rotations leave q·k of a token with itself alone: there the hook must be scale · q·k exactly."""
    for scale in backend.score_scales():
        way, good = ScoreWay("plain", scale), True
        for layer, s in enumerate(seen):
            hook = scores_from_taps(backend, ScoreWay("hook", scale), layer, s).diagonal(dim1=-2, dim2=-1)
            good &= close(hook, scores_from_taps(backend, way, layer, s).diagonal(dim1=-2, dim2=-1), dtype)
        if good:
            return True
    return False


def _choose_edits(backend: Backend, tokens: Tensor, logits: Tensor) -> Literal["pattern", "z"]:
    """ "pattern" if an edited pattern reaches the logits, else "z" if an edited z does."""
    ways: tuple[tuple[str, Literal["pattern", "z"]], ...] = (("attn_pattern", "pattern"), ("z", "z"))
    for site, name in ways:
        moved = []
        for layer in range(backend.shape.n_layers):
            edit = hooked(backend, [(site, layer, lambda tensor: tensor.roll(1, dims=0))])
            with edit, warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # TransformerLens says so where an edit is thrown away; that is what we ask
                moved.append(not torch.equal(backend.forward(tokens), logits))  # type: ignore[arg-type]
        if all(moved):
            return name
    raise BackendError("self-check failed: neither an edit of the attention pattern nor one of z moves the logits.")


def _cache_works(backend: Backend, tokens: Tensor, logits: Tensor, dtype: torch.dtype) -> bool:
    """Whether a prefix encoded once and expanded gives the logits of the whole prompt."""
    half = tokens.shape[1] // 2
    windows = [w for w in backend.local_windows() if w]
    if backend.kind == "HookedTransformer" or any(w > 512 for w in windows):
        return False
    try:
        cache = backend.expand(backend.prefix(tokens[0, :half]), 3)
        rows = tokens[0, half:].expand(3, -1)
        cached = backend.forward(rows, cache=cache)
    except Exception:
        return False
    return (
        cached is not None
        and cached.shape[1] == rows.shape[1]
        and close(cached, logits[:1, half:].expand_as(cached), dtype)
    )
