"""What a learner answers behind every prefix, after its last layer or after any: the logit lens of a learner is a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from iclmech.captures import capture, queries_at_prefixes
from iclmech.interventions import Intervention
from iclmech.models import ICLModel

from ._prompts import FunctionPrompts
from ._vocabulary import embedding_table, long_rows


def predict(
    model: ICLModel, prompts: FunctionPrompts, *, interventions: Sequence[Intervention] = ()
) -> Float64[Tensor, "prompt prefix *symbol"]:
    """What the model answers behind every prefix, in the units of the family: a value, P(y = 1), or a distribution.

    Args:
        model: a learner of this family, under a weight update if one is applied.
        prompts: those with queries of their own are asked these, each behind its own prefix, which the row does not show.
        interventions: as in `icl.capture`.

    Raises:
        FunctionError: the model has another vocabulary than the family.

    >>> import iclmech as icl
    >>> family = icl.functions.LinearRegression(d=5, noise=0.5)
    >>> icl.functions.predict(icl.load_model("fn-linear"), family.prompts(4, 12)).shape
    torch.Size([4, 12])
    """
    if prompts.own_queries is not None:
        return answers_of(_asked(model, prompts, interventions), prompts)
    acts = capture(model, prompts, "icl", ("logits",), interventions=interventions)
    return answers_of(acts["logits"], prompts)


def layer_lens(model: ICLModel, prompts: FunctionPrompts) -> Float64[Tensor, "layer prompt prefix *symbol"]:
    """What final norm and readout make of the residual state after every layer; the last is what the model answers."""
    acts = capture(model, prompts, "icl", ("resid_post",))
    with torch.no_grad():
        states = acts["resid_post"].transpose(0, 1).to(model.device, model.dtype)
        return torch.stack([answers_of(model.readout(layer).cpu(), prompts) for layer in states])


def answers_of(
    logits: Float[Tensor, "prompt *prefix d_vocab"], prompts: FunctionPrompts
) -> Float64[Tensor, "prompt *more"]:
    """Logits as answers in the units of the family."""
    kind, logits = prompts.family.kind, logits.double()
    if kind == "symbols":
        return logits[..., 1:].softmax(-1)  # BOS is never the answer
    return logits[..., -1].sigmoid() if kind == "binary" else logits[..., -1]


def _asked(
    model: ICLModel, prompts: FunctionPrompts, interventions: Sequence[Intervention]
) -> Float[Tensor, "prompt prefix d_vocab"]:
    """Logits at queries of their own, all prefixes of a prompt in one pass."""
    table, found = embedding_table(model), long_rows(model, prompts)
    points = prompts.queries.to(table) @ table[1:-1]
    prefixes = [at + 1 for at in found.places["queries"]]
    rows = []
    for row, asked in zip(found.rows, points, strict=True):
        whole = torch.cat([table[:1], row])[: prefixes[-1]]
        queries = [point[None] for point in asked]
        logits = queries_at_prefixes(model, whole, queries, prefixes, interventions=interventions)["logits"]
        rows.append(logits.diagonal(dim1=0, dim2=1).T.cpu())
    return torch.stack(rows)
