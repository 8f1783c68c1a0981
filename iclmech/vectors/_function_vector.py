"""`function_vector`: what a few heads write on average behind demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.captures import capture
from iclmech.models import ICLModel, weights_view
from iclmech.tasks import PromptSet

from ._layer_choice import split_queries, with_chosen_layer
from ._one_task import origin, require_one_task
from ._vector import Vector, VectorError


def function_vector(
    model: ICLModel,
    prompts: PromptSet,
    heads: Sequence[tuple[int, int]] | Any,
    how: Literal["sum", "distributed"] = "sum",
    layer: int | None = None,
    *,
    held_out: PromptSet | None = None,
) -> Vector:
    """The mean outputs of chosen heads at the query's last token under ICL, through W_O, to be added to a zero-shot query.

        sum:          FV = Σ over heads of (mean z_lh) W_O^lh,   h_l[p_q] ← h_l[p_q] + s·FV   at one layer
        distributed:  attn_out_l[p_q] ← attn_out_l[p_q] + s·Σ over the heads of layer l       in every layer with heads

    The bias of the output projection belongs to no head and is left out.

    Args:
        model: with whatever updates are in force.
        prompts: as in `task_vector`.
        heads: (layer, head) pairs; or what `head_effects` returned, whose top 2 % are taken.
        how: "sum", or "distributed": each head's share at its own layer.
        layer: where the sum acts; by default chosen as in `task_vector`.
        held_out: as in `task_vector`.

    Returns:
        A `Vector`, how "add". Of "sum" the rows of all layers are the same; of "distributed" there are rows for the layers
        with heads, which act together.

    Raises:
        VectorError: no heads or some that are not there, or contexts as in `task_vector`.

    When it misleads: heads below the layer at which the sum is added have already run on the query, so the sum holds what
    they wrote twice. Where W_O is followed by a norm (Gemma 2), `attn_out` is what comes after it, and the sum is not.

    Source: Todd et al., Function Vectors in Large Language Models (ICLR 2024, arXiv 2310.15213); distributed as in arXiv
    2606.05079.

    >>> import iclmech as icl
    >>> model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment")
    >>> prompts = icl.build_prompts(model, task, k=4, n_queries=8, queries_from="train")
    >>> vector = function_vector(model, prompts, [(1, 0), (2, 3)], "distributed")
    >>> vector.layers, vector.site
    ((1, 2), 'attn_out')
    """
    require_one_task(prompts)
    chosen = _checked(model, heads, how)
    single = how == "sum" and layer is None
    mine, held = split_queries(prompts) if single and held_out is None else (prompts, held_out)
    means = capture(model, mine, "icl", ("z",))["z"].mean(dim=0)
    written = writes(model, means, chosen)
    about = origin(model, mine, "function", heads=[list(head) for head in chosen], how=how)
    if how == "distributed":
        layers = tuple(sorted({n for n, _ in chosen}))
        return Vector(written[list(layers)], "attn_out", "add", layers=layers, together=True, layer=layer, meta=about)
    everywhere = written.sum(dim=0).expand(len(written), -1).clone()
    vector = Vector(everywhere, how="add", layer=layer, meta=about)
    return with_chosen_layer(model, vector, held) if single and held is not None else vector


def writes(
    model: ICLModel, z: Float[Tensor, "layer head d_head"], heads: Sequence[tuple[int, int]]
) -> Float[Tensor, "layer d_model"]:
    """What heads with these outputs write into the residual stream, summed in each layer: W_O alone, no bias."""
    w_o = weights_view(model).W_O.to(z.dtype)
    written = torch.zeros(z.shape[0], w_o.shape[-1], dtype=z.dtype)
    for layer, head in heads:
        written[layer] += z[layer, head] @ w_o[layer, head]
    return written


def _checked(model: ICLModel, heads: Any, how: str) -> list[tuple[int, int]]:
    if how not in ("sum", "distributed"):
        raise VectorError(f"got how={how!r}; expected 'sum' or 'distributed'.")
    s = model.shape
    if hasattr(heads, "top"):
        heads = heads.top(max(1, round(0.02 * s.n_layers * s.n_heads)))
    chosen = list(dict.fromkeys((int(n), int(h)) for n, h in heads))
    wrong = [head for head in chosen if not (0 <= head[0] < s.n_layers and 0 <= head[1] < s.n_heads)]
    if wrong or not chosen:
        got = f"the head {wrong[0]}" if wrong else "no heads"
        raise VectorError(
            f"got {got}; expected (layer, head) pairs below ({s.n_layers}, {s.n_heads}) of {model.name}, or head effects."
        )
    return chosen
