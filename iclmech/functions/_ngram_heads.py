"""`ngram_heads`: attention on what followed the last n symbols before, and the ideal pattern in the place of a head's.

A^(n)[i, j] = 1 where the n symbols before j are the last n up to i, and j ≤ i: j is what followed them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor

from iclmech._base import Claim, Result, track
from iclmech.captures import capture
from iclmech.experiments._estimates import Lead
from iclmech.interventions import replace_pattern
from iclmech.models import ICLModel

from ._answers import predict
from ._asking import AWAY, asked, drawn, judged_over_prompts, origin, put, put_lead
from ._curves_request import NGRAM_HEADS, NgramRequest
from ._errors import FunctionError
from ._family import Family
from ._prompts import FunctionPrompts

IN_PLACE = ("none", "ideal", "uniform")


def followers(tokens: Tensor, n: int) -> Bool[Tensor, "prompt position key"]:
    """A^(n) of ids [prompt, position]; a key has n symbols before it.

    >>> followers(torch.tensor([[1, 2, 1]]), 1)[0].int().tolist()
    [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    """
    length = tokens.shape[1]
    found = torch.ones(len(tokens), length, length, dtype=torch.bool).tril()
    for back in range(n):
        now, before = F.pad(tokens, (back, 0), value=-1)[:, :length], F.pad(tokens, (back + 1, 0), value=-2)[:, :length]
        found &= now[:, :, None] == before[:, None, :]
    return found


class NgramHeads(Result):
    """`data`: `mass` (order, layer, head), attention on A^(n) in rows that have a match, and `above` uniform attention's;
    `loss` (order, layer, head, in_place), nats per symbol in the later half with the head's pattern left, ideal, or uniform;
    `cost` of the ideal pattern, `kept`, what it loses less than the uniform one, and `elsewhere` (order), its mean cost in
    all other heads less that in the chosen one. `chosen`: the head with the most mass above uniform, on other prompts."""

    kind = "ngram-heads"

    def judged(self) -> list[Claim]:
        """The chosen head of the lowest order, and what the ideal pattern keeps of it."""
        layer, head = (int(n) for n in self.data["chosen"].values)
        order = {"order": int(self.data["order"][0])}
        at, name = {**order, "layer": layer, "head": head}, f"head {layer}.{head}"
        return judged_over_prompts(self, [
            Lead(f"{name} attends to what followed the same symbol", "above", at, "uniform attention, in mass"),
            Lead(f"the ideal pattern keeps more of {name} than a uniform one", "kept", at, "the uniform pattern, in loss"),
            Lead(f"the ideal pattern costs less in {name} than in another head", "elsewhere", order, "the mean of all other heads"),
            Lead(f"{name} does more than the ideal pattern", "cost", at, "the head itself, in loss"),
        ])  # fmt: skip


def ngram_heads(
    model: ICLModel | str = "fn-automata",
    family: Family | str = "Automata()",
    n: Sequence[int] = (1, 2),
    *,
    n_prompts: int = 32,
    n_examples: int = 80,
    seeds: int | Sequence[int] = 1,
    level: float = 0.95,
    progress: bool = False,
) -> NgramHeads:
    """Score every head as an n-gram head, and put the ideal pattern in the place of its own.

    Args:
        model, family: a learner of strings and its family, or the names of both.
        n: orders: how many symbols must be the same.
        n_prompts, n_examples, seeds: prompts of each seed, symbols in each, seeds.
        level: of the intervals.
        progress: show a bar on standard error.

    Raises:
        FunctionError: a family that has no symbols.

    Source: Akyürek et al., arXiv 2401.12973, sections 4 and 5; that mass is counted above uniform attention's is this project's.
    """
    request, inputs = asked(
        NgramRequest,
        model,
        family,
        orders=tuple(n),
        n_prompts=n_prompts,
        n_examples=n_examples,
        seeds=seeds,
        level=level,
    )
    return NGRAM_HEADS.run(request, progress=progress, **inputs)  # type: ignore[return-value]


def run_heads(request: NgramRequest, *, progress: bool, model: ICLModel, family: Family) -> NgramHeads:
    """Run it as the request says."""
    if family.kind != "symbols":
        raise FunctionError(f"got {family.name}, whose inputs are points; expected a family of symbols: Automata().")
    kept: dict[str, list[np.ndarray]] = {}
    chosen = _best_head(model, drawn(family, request, AWAY)[0], request.orders[0])
    for prompts in track(drawn(family, request), "prompts", enabled=progress):
        pattern = _patterns(model, prompts)
        rows = [_of_order(model, prompts, pattern, n) for n in request.orders]
        for row in rows:
            mine = row["cost"][:, chosen[0], chosen[1]]
            row["elsewhere"] = (row["cost"].flatten(1).sum(1) - mine) / (row["cost"][0].numel() - 1) - mine
        for name in rows[0]:
            kept.setdefault(name, []).append(torch.stack([row[name] for row in rows], 1).double().numpy())
    shape = model.shape
    coords = {
        "order": list(request.orders), "layer": np.arange(shape.n_layers), "head": np.arange(shape.n_heads),
        "in_place": list(IN_PLACE), "place": ["layer", "head"],
    }  # fmt: skip
    data = xr.Dataset({"chosen": ("place", list(chosen))}, coords=coords)
    for name, values in kept.items():
        dims = ("order", "layer", "head", "in_place")[: values[0].ndim - 1]
        (put if name in ("mass", "loss") else put_lead)(data, name, dims, values, request.level)
    return NgramHeads(data, provenance=origin(request, model, family))


def _patterns(model: ICLModel, prompts: FunctionPrompts) -> Float[Tensor, "prompt layer head query key"]:
    """Every head's attention, BOS left out."""
    return capture(model, prompts, "icl", ("attn_pattern",))["attn_pattern"][..., 1:]


def _best_head(model: ICLModel, prompts: FunctionPrompts, n: int) -> tuple[int, int]:
    """The head with the most mass on A^(n) above uniform attention's."""
    above = _mass(prompts, _patterns(model, prompts), n)["above"].mean(0)
    return divmod(int(above.argmax()), above.shape[1])


def _mass(prompts: FunctionPrompts, pattern: Tensor, n: int) -> dict[str, Float[Tensor, "prompt layer head"]]:
    """Attention on A^(n), and above uniform attention's, in rows that have a match."""
    match = followers(prompts.tokens, n)
    has = match.any(-1)
    size = torch.arange(1, match.shape[1] + 1) + 1.0  # keys of uniform attention, BOS among them
    mass = torch.einsum("plhik,pik->plhi", pattern.double(), match.double())
    above = mass - (match.sum(-1) / size)[:, None, None]
    counted = has.sum(-1).clamp(min=1)[:, None, None]
    return {name: (v * has[:, None, None]).sum(-1) / counted for name, v in (("mass", mass), ("above", above))}


def _of_order(model: ICLModel, prompts: FunctionPrompts, pattern: Tensor, n: int) -> dict[str, Tensor]:
    """Numbers of one order, first axis the prompts."""
    match, found = followers(prompts.tokens, n), _mass(prompts, pattern, n)
    base = _loss(model, prompts, None, 0, 0)
    losses = torch.empty(len(prompts), model.shape.n_layers, model.shape.n_heads, len(IN_PLACE))
    losses[..., 0] = base[:, None, None]
    for layer in range(model.shape.n_layers):
        for head in range(model.shape.n_heads):
            for place, kind in enumerate(IN_PLACE[1:], start=1):
                losses[:, layer, head, place] = _loss(model, prompts, _pattern(match, kind), layer, head)
    return found | {"loss": losses, "cost": losses[..., 1] - losses[..., 0], "kept": losses[..., 2] - losses[..., 1]}


def _pattern(match: Tensor, kind: str) -> Float[Tensor, "prompt query key"]:
    """What replaces a head's pattern: the normalised A^(n), where it has a match, or even attention; BOS is the first key."""
    length = match.shape[1] + 1
    even = torch.ones(length, length).tril()
    ideal = F.pad(match.float(), (1, 0, 1, 0))
    rows = (
        even.expand(len(match), -1, -1) if kind == "uniform" else torch.where(ideal.any(-1, keepdim=True), ideal, even)
    )
    return rows / rows.sum(-1, keepdim=True)


def _loss(model: ICLModel, prompts: FunctionPrompts, pattern: Tensor | None, layer: int, head: int) -> Tensor:
    """Nats per symbol in the later half of each prompt."""
    half = prompts.n_examples // 2
    if pattern is None:
        answers = predict(model, prompts)
    else:
        parts = []
        for row, one in enumerate(pattern):
            edit = replace_pattern(one[None, None], layers=layer, heads=head)
            parts.append(predict(model, prompts[row : row + 1], interventions=(edit,)))
        answers = torch.cat(parts)
    index = prompts.y.long()[..., None]
    return -answers.gather(-1, index)[:, half:, 0].log().mean(-1).float()
