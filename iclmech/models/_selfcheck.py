"""The check that every model passes at construction: what is asked of it is right, or it is refused by name.

A hook's name is no promise. On some families the score hook holds the pattern, on others an edit of the pattern is
thrown away. A few tokens tell; the ways that were found right are kept in `Capabilities`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from iclmech._base import BackendError, Guard, remove_hook, rng

from ._protocol import Backend, Capabilities, HookFn, ScoreWay
from ._score_check import Seen, choose_scores, require, softmax_is_pattern
from ._verified import close
from .backends._spread import input_device

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
_SOURCES = {
    "hook": "the score hook",
    "rotated": "rotated q and k",
    "turned": "q and k, rotated here",
    "plain": "q and k",
}
_NEEDED = ("resid_pre", "resid_post", "attn_out", "q", "k", "v", "z", "attn_pattern")


def hooked(backend: Backend, specs: Iterable[tuple[str, int, HookFn]]) -> Guard:
    """Place hooks (site, layer, function) for the length of a block; only these are removed, whatever happens."""
    return Guard(partial(place, backend, specs))


def place(backend: Backend, specs: Iterable[tuple[str, int, HookFn]], guard: Guard) -> None:
    """Place hooks for as long as a guard is open. `BackendError` for a site that the model has not."""
    for site, layer, function in specs:
        point: Any = backend.point(site, layer)
        if point is None:
            raise BackendError(f"{backend.kind} has no hook for {site} in layer {layer}.")
        hook = lambda tensor, hook, function=function: function(tensor)  # noqa: E731 - one object for each hook
        guard.undo(partial(remove_hook, point, hook))
        point.add_hook(hook)


def probe_tokens(d_vocab: int, n_ctx: int, windows: list[int | None]) -> Tensor:
    """Two rows of seeded ids, longer than the widest attention window where that is short enough to try."""
    length = max(8, *(window + 3 for window in windows if window and window <= 512), 0)
    return torch.randint(0, d_vocab, (2, min(length, n_ctx)), generator=rng(0, "selfcheck"))


def check(
    backend: Backend, plain: tuple[Tensor, Tensor] | None = None, like: Capabilities | None = None
) -> Capabilities:
    """Run the checks and return what works.

    Args:
        backend: the model, behind its backend.
        plain: tokens, and the logits that the same weights give on them outside TransformerLens, where they are known.
        like: what was found on a model of the same architecture. It is taken over, since what is tried at length (edits,
            the cache) is the architecture's; what depends on the weights is checked: finite logits, the residual sum, the
            readout, and that the scores taken over give this model's patterns.

    Returns:
        The ways that are right on this model.

    Raises:
        BackendError: names what is wrong and on which layer.
    """
    shape = backend.shape
    tokens = plain[0] if plain else probe_tokens(shape.d_vocab, shape.n_ctx, backend.local_windows())
    tokens = tokens.to(input_device(backend.hooked))
    with torch.no_grad():
        seen, logits = _record(backend, tokens)
        dtype = logits.dtype
        require(
            plain is None or close(logits, plain[1], dtype), "the hooked logits differ from those of the plain model"
        )
        parallel = _check_residual(backend, seen, dtype)
        require(
            close(backend.readout(seen[-1]["resid_post"]), logits, dtype),
            "unembed(ln_final(resid_post)) of the last layer differs from the logits",
        )
        if like is not None and softmax_is_pattern(backend, like.scores, seen, dtype):
            return replace(like, checks=(("architecture", "as checked on the model that it was drawn after"),))
        scores = choose_scores(backend, seen, dtype)
        edits = _choose_edits(backend, tokens, seen, logits)
        cache = _cache_works(backend, tokens, logits)
    notes = (
        ("forward", "equals the plain model" if plain else "not compared: no independent copy of the model at hand"),
        ("scores", _described(scores)),
        ("edits", f"through {edits}"),
        ("cache", "equals the whole prompt" if cache else "not used: prompts are run whole"),
    )
    return Capabilities(scores, edits, cache, parallel, notes)


def _described(scores: ScoreWay) -> str:
    more = ", by layer" if scores.details.by_layer else ""
    cap = f", capped at {scores.details.cap:.4g}" if scores.details.cap else ""
    return f"from {_SOURCES[scores.source]}, scale {scores.scale:.4g}{more}{cap}"


def _record(backend: Backend, tokens: Tensor) -> tuple[Seen, Tensor]:
    seen: Seen = [{} for _ in range(backend.shape.n_layers)]

    def keeper(site: str, layer: int) -> HookFn:
        def keep(tensor: Tensor) -> None:
            seen[layer][site] = tensor.detach().clone()

        return keep

    present = [(s, n) for n in range(backend.shape.n_layers) for s in _SITES if backend.point(s, n) is not None]
    with hooked(backend, [(site, layer, keeper(site, layer)) for site, layer in present]):
        logits = backend.forward(tokens)
    for layer, sites in enumerate(seen):
        missing = [site for site in _NEEDED if site not in sites]
        require(not missing, f"layer {layer} shows no {', '.join(missing)}")
    require(logits is not None and bool(torch.isfinite(logits).all()), "the logits are not finite")
    return seen, logits  # type: ignore[return-value]  # required above


def _check_residual(backend: Backend, seen: Seen, dtype: torch.dtype) -> bool:
    """Whether blocks are parallel; `BackendError` where they do not add up, or do not follow each other."""
    for layer, s in enumerate(seen):
        total = s["resid_pre"] + s["attn_out"] + s.get("mlp_out", 0)
        require(
            close(total, s["resid_post"], dtype), f"resid_pre + attn_out + mlp_out is not resid_post in layer {layer}"
        )
        require(
            layer == 0 or close(s["resid_pre"], seen[layer - 1]["resid_post"], dtype),
            f"resid_pre of layer {layer} is not resid_post of the layer below",
        )
    return backend.point("resid_mid", 0) is None and backend.point("mlp_out", 0) is not None


def _choose_edits(backend: Backend, tokens: Tensor, seen: Seen, logits: Tensor) -> Literal["pattern", "z"]:
    """ "pattern" if an edited pattern moves the attention output of every layer, else "z" if an edited z does.

    All layers are tried in two forward passes. Each layer is handed the states that it had without edits, so that an edit
    shows in its own layer and nowhere else:

        pass 0:  layer 0 edited │ layer 1 as it was │ layer 2 edited │ …      edited: attn_out must move
        pass 1:  layer 0 as it was │ layer 1 edited │ …                       as it was: attn_out must be what it was
    """
    ways: tuple[tuple[str, Literal["pattern", "z"]], ...] = (("attn_pattern", "pattern"), ("z", "z"))
    layers = range(backend.shape.n_layers)
    for site, name in ways:
        moved: set[int] = set()
        for odd in (0, 1):
            edited = [layer for layer in layers if layer % 2 == odd]
            found, out = _edited(backend, tokens, seen, site, edited)
            for layer in layers:
                if layer not in edited:
                    require(
                        close(found[layer], seen[layer]["attn_out"], logits.dtype),
                        f"a state written to resid_pre does not reach the attention of layer {layer}",
                    )
                elif not torch.equal(found[layer], seen[layer]["attn_out"]) and (
                    layer < layers[-1] or not torch.equal(out, logits)
                ):
                    moved.add(layer)
        if len(moved) == len(layers):
            return name
    raise BackendError(
        "self-check failed: neither an edit of the attention pattern nor one of z moves the logits. Expected a model "
        "whose attention can be edited through its hooks; take a family that loads: docs/howto/models.md lists them."
    )


def _edited(
    backend: Backend, tokens: Tensor, seen: Seen, site: str, edited: list[int]
) -> tuple[dict[int, Tensor], Tensor]:
    """Attention outputs by layer, and logits, of a pass in which rows are swapped at `site` of some layers."""
    found: dict[int, Tensor] = {}
    specs: list[tuple[str, int, HookFn]] = [(site, layer, lambda tensor: tensor.roll(1, dims=0)) for layer in edited]
    for layer, s in enumerate(seen):
        specs.append(("resid_pre", layer, lambda tensor, s=s: s["resid_pre"]))
        specs.append(("attn_out", layer, lambda tensor, layer=layer: found.update({layer: tensor.clone()})))
    with hooked(backend, specs), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TransformerLens says so where an edit is thrown away; that is what we ask
        logits = backend.forward(tokens)
    return found, logits  # type: ignore[return-value]  # a forward with readout


def _cache_works(backend: Backend, tokens: Tensor, logits: Tensor) -> bool:
    """Whether a prefix encoded once and expanded gives the logits of the whole prompt.

    Where layers look through a window that the probe outgrows, the prefix alone outgrows it: a cache that forgets what has
    left the window shows only then.
    """
    length = tokens.shape[1]
    cut = max(length // 2, length - 2 if any(backend.local_windows()) else 0)
    try:
        cache = backend.expand(backend.prefix(tokens[0, :cut]), 3)
        rows = tokens[0, cut:].expand(3, -1)
        cached = backend.forward(rows, cache=cache)
    except Exception:
        return False
    return (
        cached is not None
        and cached.shape[1] == rows.shape[1]
        and close(cached, logits[:1, cut:].expand_as(cached), logits.dtype)
    )
