"""What is measured: contenders for one piece of work each, with equality asserted before anything is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.updates import WeightUpdate, gradient_descent, layer_causal_gd

from . import _rivals
from ._measure import Contender
from ._world import model_of, plain_model, prompts_of

LR = 1e-3
SITES = ("attn_out", "resid_post", "attn_scores")


@dataclass
class Case:
    """One table: contenders, ours first, and the ratio each rival should reach (None: only the figure)."""

    title: str
    contenders: list[Contender]
    targets: dict[str, float | None]
    work: Callable[[], object] | None = None  # ours, for the arithmetic floor
    work_units: float = 1


def same(mine: Tensor, theirs: Tensor, tolerance: float, what: str) -> None:
    """Raise unless two tensors are equal to `tolerance`, relative to the largest entry."""
    gap = float((mine - theirs).abs().max() / (1e-12 + theirs.abs().max()))
    if not gap <= tolerance:
        raise AssertionError(f"{what} differ by {gap:.2e}, allowed {tolerance:.0e}")


def captures(shape: str, n: int, quick: bool) -> Case:
    """ICL capture: attn_out, resid_post, attn_scores of all layers at the prediction position, and label scores."""
    model, plain, prompts = model_of(shape), plain_model(shape), prompts_of(n)
    few = [0] if quick else [0, n // 2]
    eight = list(range(min(8, n)))
    mine = capture(model, prompts, "icl", SITES)
    for name, theirs in (
        ("TransformerLens", _rivals.transformerlens(model, prompts, few, 1)),
        ("transformers", _rivals.transformers(plain, prompts, few)),
    ):
        same(mine.label_scores[few], theirs["label_scores"], 1e-5, f"label scores of ours and {name}")
        states = mine["resid_post"][few]
        same(states[:, : theirs["resid_post"].shape[1]], theirs["resid_post"], 1e-5, f"states of ours and {name}")
    contenders = [
        Contender("iclmech", lambda: capture(model, prompts, "icl", SITES), n),
        Contender("TransformerLens, batch 1", lambda: _rivals.transformerlens(model, prompts, few, 1), len(few)),
        Contender("transformers, batch 1", lambda: _rivals.transformers(plain, prompts, few), len(few)),
    ]
    if not quick and n <= 64:
        batch = partial(_rivals.transformerlens, model, prompts, eight, 8)
        contenders += [
            Contender("TransformerLens, batch 8", batch, 8, once=True),
            Contender(
                "iclmech, hooked path", lambda: capture(model, prompts, "icl", SITES, path="cached"), n, once=True
            ),
        ]
    target = 25.0 if n < 256 else 35.0
    return Case(
        f"ICL capture, {shape}, k=32 (641 tokens), N={n}, per query",
        contenders,
        {"TransformerLens, batch 1": target if shape == "small" else None},
        contenders[0].call,
        n,
    )


def steps(shape: str, loss: str, quick: bool) -> Case:
    """One step on one demonstration of 20 tokens, as part of an update on several."""
    model, plain = model_of(shape), plain_model(shape)
    n = 2 if quick else 8
    prompts = prompts_of(1, n)
    demonstrations = prompts.demonstrations
    start = {name: tensor.clone() for name, tensor in plain.state_dict().items()}

    def restored(step: Callable[..., dict[int, Tensor]]) -> None:
        for demonstration in demonstrations:
            step(plain, demonstration, LR, loss)

    for method, rival in ((layer_causal_gd, _rivals.papers_lcgd), (gradient_descent, _rivals.vanilla_gd)):
        update = method(model, demonstrations[:1], lr=LR, loss=loss)
        equal_updates(update, rival(plain, demonstrations[0], LR, loss), model)
        plain.load_state_dict(start)

    ours = {
        "iclmech LCGD": lambda: layer_causal_gd(model, demonstrations, lr=LR, loss=loss),
        "iclmech LCGD, layerwise": lambda: layer_causal_gd(
            model, demonstrations, lr=LR, loss=loss, strategy="layerwise"
        ),
        "iclmech GD": lambda: gradient_descent(model, demonstrations, lr=LR, loss=loss),
        "the papers' LCGD": lambda: restored(_rivals.papers_lcgd),
        "vanilla GD": lambda: restored(_rivals.vanilla_gd),
    }
    contenders = [Contender(name, call, n) for name, call in ours.items()]
    targets = {"the papers' LCGD": 7.0 if loss == "label" else 4.5, "vanilla GD": 1.0 if loss == "label" else None}
    title = (
        f"LCGD step, {shape}, {loss} loss, 20 tokens, per demonstration (hash and set-up of the update shared by {n})"
    )
    return Case(title, contenders, targets, contenders[0].call, n)


def equal_updates(update: WeightUpdate, theirs: dict[int, Tensor], model: ICLModel) -> None:
    """Raise unless every layer's key and value changes are those of the rival."""
    for layer, change in theirs.items():
        width = change.shape[0]
        for kind, part in (("k", change[:, :width]), ("v", change[:, width:])):
            mine = update.delta(layer, kind)
            if mine is None:
                raise AssertionError(f"no change of {kind} in layer {layer}")
            heads = part.unflatten(1, (model.shape.n_heads, -1)).permute(1, 0, 2)
            same(mine, heads, 1e-3, f"changes of {kind} in layer {layer}")


def grid(shape: str, quick: bool) -> Case:
    """Eight learning rates at once against eight runs."""
    model, prompts = model_of(shape), prompts_of(1, 2 if quick else 8)
    rates = [LR * 2**-n for n in range(8)]
    together = layer_causal_gd(model, prompts, lr=rates)
    for rate, update in zip(rates, together, strict=True):
        alone = layer_causal_gd(model, prompts, lr=rate)
        for name, delta in alone.deltas.items():
            if "bias" not in name:
                same(update.deltas[name], delta, 1e-3, f"{name} at rate {rate:g}")
    contenders = [
        Contender("one call", lambda: layer_causal_gd(model, prompts, lr=rates)),
        Contender("eight calls", lambda: [layer_causal_gd(model, prompts, lr=rate) for rate in rates]),
    ]
    return Case(f"learning-rate grid of 8, {shape}, {prompts.k} demonstrations", contenders, {"eight calls": 1.7})
