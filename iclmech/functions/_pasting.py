"""`pasting`: upper layers of a learner, frozen, on a fresh read-in: do they do regression by themselves?

A learner of w·Φ(x) may compute Φ(x) below and do linear regression above. If so, its upper layers do linear regression on
whatever they are handed: a new embedding matrix and new positions, trained for linear prompts with everything else frozen,
are all that they need. Random layers behind a read-in trained as long say what the read-in does alone; the learner's lower
layers, whether any of its layers would do; one layer trained from scratch, what the steps are worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import Claim, Result, rng, track
from iclmech.experiments._estimates import Lead, add_estimate, judge_leads
from iclmech.models import ICLModel, twin_of
from iclmech.training import GPT2Config, Run, SmallGPT2, build_optimizers, load_gpt2, train as run_training

from ._asking import asked, origin
from ._curves_request import PASTING, PastingRequest
from ._distance import distance, error
from ._errors import FunctionError
from ._family import Family
from ._family_names import family_name
from ._recipe import FunctionRecipe
from ._training import FunctionBatches, answers, function_loss
from ._vocabulary import check_fits

VARIANTS = {
    "pasted": "the learner's upper layers",
    "random": "layers of the same shape, drawn anew",
    "lower": "as many of the learner's lower layers",
    "one layer": "one layer trained from scratch as long",
}
_RATE = 0.01


class Pasting(Result):
    """`data`: `error` and `distance` (variant, prefix), from the targets and from Bayes, squared / d, of the learner's upper
    layers behind a trained read-in, of random ones, of its lower ones, and of one layer trained from scratch; `error_bayes`
    (prefix). `lead` (variant): the variant's distance less that of the upper layers, mean over prefixes. `m_ci` (..., bound) is
    the two-way interval of `m` over read-ins and prompts."""

    kind = "pasting"

    def judged(self) -> list[Claim]:
        """Nearer to the best answers than each control."""
        leads = [
            Lead(
                f"the upper layers come nearer to Bayes than {VARIANTS[name]}",
                "lead",
                {"variant": name},
                VARIANTS[name],
            )
            for name in map(str, self.data["variant"].values[1:])
        ]
        level = float(self.provenance.get("level", 0.95))
        return judge_leads(self.data, leads, level, "paired difference, two-way over read-ins and prompts")

    def answer(self) -> list[str]:
        """How near each comes, and the claims."""
        near = ", ".join(
            f"{VARIANTS[str(name)]} {float(self.data['distance'].sel(variant=name).mean()):.3g}"
            for name in self.data["variant"].values
        )
        return [f"Distance to Bayes (squared / d, mean over prefixes): {near}.", *super().answer()]


def pasting(
    model: ICLModel | str = "fn-representation",
    family: Family | str = "LinearRegression(d=5, noise=0.5)",
    layers: int = 2,
    *,
    steps: int = 400,
    n_prompts: int = 256,
    n_examples: int = 12,
    seeds: int | tuple[int, ...] = 3,
    level: float = 0.95,
    progress: bool = False,
) -> Pasting:
    """Train a read-in for a learner's upper layers, and for three controls, and hold their answers against Bayes.

    Args:
        model, family: the learner whose layers are taken, and what they are asked; or the names of both.
        layers: how many upper layers.
        steps: of training, 64 fresh prompts each, of the embedding matrix and the positions alone.
        n_prompts, n_examples: prompts that are measured on, pairs in each.
        seeds: read-ins: how many, or which.
        level: of the intervals.
        progress: show a bar on standard error.

    Raises:
        FunctionError: a family whose answers are no numbers, or as many layers as the learner has, or more.

    Source: Guo et al., arXiv 2310.10616, section 5 (their read-in is trained on features; here on what is asked).
    """
    request, inputs = asked(
        PastingRequest, model, family, layers=layers, steps=steps, n_prompts=n_prompts, n_examples=n_examples,
        seeds=seeds, level=level,
    )  # fmt: skip
    return PASTING.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_pasting(request: PastingRequest, *, progress: bool, model: ICLModel, family: Family) -> Pasting:
    """Run it as the request says."""
    n_layers = model.shape.n_layers
    if family.kind != "real" or not 1 <= request.layers < n_layers:
        raise FunctionError(
            f"got {request.layers} of {n_layers} layers and {family.name}; expected 1 to {n_layers - 1} layers and a family of real "
            "values."
        )
    check_fits(model, family)
    whole = learner_net(model)
    prompts = family.prompts(request.n_prompts, request.n_examples, 0)
    best, kept = family.bayes(prompts), []
    for seed in track(request.seed_list, "read-ins", enabled=progress):
        mine = [_answers(net, request, family, seed, prompts) for net in _nets(whole, request.layers, seed)]
        kept.append([[distance(prompts, best, one).numpy(), error(prompts, one).numpy()] for one in mine])
    values = np.array(kept).transpose(0, 3, 2, 1, 4)  # [seed, prompt, what, variant, prefix]
    coords = {"variant": list(VARIANTS), "prefix": np.arange(request.n_examples)}
    data = xr.Dataset({"error_bayes": ("prefix", error(prompts, best).mean(0).numpy())}, coords=coords)
    for place, name in enumerate(("distance", "error")):
        add_estimate(data, name, ("variant", "prefix"), values[:, :, place], request.level, limits=(0.0, np.inf))
    near = values[:, :, 0].mean(-1)
    add_estimate(data, "lead", ("variant",), near - near[..., :1], request.level)
    return Pasting(data, provenance=origin(request, model, family, layers=request.layers, steps=request.steps))


def learner_net(model: ICLModel) -> SmallGPT2:
    """A learner's weights in a net that can be trained."""
    body = twin_of(model)
    readout = dict(model.backend.shared_parts()).get("lm_head.weight")
    if not hasattr(body, "base") or readout is None:
        raise FunctionError(f"got {model.name}; expected a learner of functions, a GPT-2 that `train` wrote.")
    weights = {f"transformer.{name}": value for name, value in body.base.named_parameters()}  # type: ignore[union-attr]
    return load_gpt2(weights | {"lm_head.weight": readout}, model.shape.n_heads)


def _nets(whole: SmallGPT2, layers: int, seed: int) -> Iterable[SmallGPT2]:
    """Nets in the order of `VARIANTS`, read-ins drawn anew; only those are trained, but for the last."""
    c = whole.config
    for name in VARIANTS:
        n = 1 if name == "one layer" else layers
        net = SmallGPT2(
            GPT2Config(n, c.d_model, c.n_heads, c.n_ctx), whole.d_vocab, rng(seed, "functions: pasting"), True
        )
        if name in ("pasted", "lower"):
            start = len(whole.model.layers) - layers if name == "pasted" else 0
            for mine, theirs in zip(net.model.layers, whole.model.layers[start:], strict=False):
                mine.load_state_dict(theirs.state_dict())
            net.model.norm.load_state_dict(whole.model.norm.state_dict())
            net.lm_head.load_state_dict(whole.lm_head.state_dict())
        if name != "one layer":
            for part in (net.model.layers, net.model.norm, net.lm_head):
                part.requires_grad_(False)
        yield net


def _answers(net: SmallGPT2, request: PastingRequest, family: Family, seed: int, prompts: Any) -> Tensor:
    """Train what can be trained, and ask."""
    recipe = FunctionRecipe("pasting", (family_name(family),), request.n_examples, steps=request.steps)
    optimizers = build_optimizers(net, "muon", lr=_RATE, lr_muon=recipe.lr_muon)
    run = Run(net, optimizers, FunctionBatches(recipe, seed), function_loss, recipe.rate, recipe.clip)
    run_training(run)
    with torch.no_grad():
        return answers(net, prompts.x, prompts.y).double()
