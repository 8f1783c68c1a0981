"""`in_context_vector`: how a text's state differs from that of its answer, each text alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import digest
from iclmech.captures import Row, iter_run
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._vector import Vector, VectorError

Text = str | Sequence[int]
Direction = Literal["mean", "released", "pc"]


def in_context_vector(
    model: ICLModel, pairs: Sequence[tuple[Text, Text]] | PromptSet, direction: Direction = "mean"
) -> Vector:
    """The difference between the last states of two texts, over pairs; to turn the write of every MLP towards.

        δ_i = h(y_i)[last] − h(x_i)[last] in all layers, each text alone behind BOS
        mean: mean δ;   pc: first principal component of the centred δ, all layers together, at length 1;   released: pc + mean

    Applied to every token in all layers: mlp_out keeps its length and turns towards the vector (`Vector.how` "keep_norm").

    Args:
        model: with whatever updates are in force.
        pairs: (x, y) of texts or of token ids; or prompts, of whose demonstrations x is the input and y the answer.
        direction: see above. The component's sign is that of its cosine with the mean, in "released" the one that makes the
            largest of its scores positive, as in the published code.

    Returns:
        A `Vector` for "mlp_out" of every token, acting in all layers together.

    Raises:
        VectorError: no pairs, an empty text, fewer than two pairs for a component, or an unknown direction.

    When it misleads: a strength of .1, the published one, can turn a small model into one constant answer, along a random
    direction as well: try strengths from .005 on, with `vector.like("random")` beside it. A negative strength is no mirror of
    the positive one. One draw of random signs can be strong by luck.

    Source: Liu, Ye, Xing, Zou, In-context Vectors (ICML 2024, arXiv 2311.06668). The paper says first principal component; the
    code adds the mean, whose length is several times that of the component.

    >>> import iclmech as icl
    >>> model = icl.load_model("icl-mini")
    >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=1)
    >>> in_context_vector(model, prompts).values.shape
    torch.Size([4, 64])
    """
    tokens = _tokens(model, pairs)
    if direction not in ("mean", "released", "pc"):
        raise VectorError(f"got direction={direction!r}; expected 'mean', 'released' or 'pc'.")
    if len(tokens) < (1 if direction == "mean" else 2):
        raise VectorError(f"got {len(tokens)} pairs; expected at least {1 if direction == 'mean' else 2}.")
    x, y = (last_states(model, [pair[n] for pair in tokens]) for n in (0, 1))
    delta = y - x
    found = delta.mean(dim=0)
    if direction != "mean":
        component = principal_component(delta, toward_mean=direction == "pc")
        found = component if direction == "pc" else found + component
    about: dict[str, Any] = {
        "method": "in_context",
        "direction": direction,
        "model": {"name": model.name, "hash": model.hash(), "applied": list(model.applied)},
        "pairs": len(tokens),
        "texts": digest(tokens),
    }
    return Vector(found[1:], "mlp_out", "keep_norm", None, together=True, meta=about)


def last_states(model: ICLModel, texts: Sequence[Sequence[int]]) -> Float[Tensor, "text layer d_model"]:
    """The last token's states of texts behind BOS: the embedding first, then `resid_post` of every layer."""
    rows = [Row(list(ids), (len(ids) - 1,)) for ids in texts]
    shape = (len(texts), model.shape.n_layers + 1, model.shape.d_model)
    found = torch.empty(shape, dtype=torch.float64 if model.dtype == torch.float64 else torch.float32)
    with torch.no_grad():
        for chunk in iter_run(model, [model.bos], rows, ("resid_pre", "resid_post")):
            for row, n in enumerate(chunk.index):
                found[n, 0] = chunk.values["resid_pre"][row, 0, 0].cpu()
                found[n, 1:] = chunk.values["resid_post"][row, 0].cpu()
    return found


def principal_component(
    delta: Float[Tensor, "pair layer d_model"], toward_mean: bool = True
) -> Float[Tensor, "layer d_model"]:
    """The first principal component of all layers together, of length 1."""
    flat = delta.double().flatten(1)
    u, _, v = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    decides = flat.mean(dim=0) @ v[0] if toward_mean else u[u[:, 0].abs().argmax(), 0]
    component = -v[0] if decides < 0 else v[0]
    return component.reshape(delta.shape[1:]).to(delta.dtype)


def _tokens(model: ICLModel, pairs: Any) -> list[tuple[list[int], list[int]]]:
    if isinstance(pairs, PromptSet):
        found = [
            (d.tokens[1 : d.label_span[0]], d.tokens[slice(*d.label_span)])
            for context in pairs.contexts
            for d in context.demonstrations
        ]
    else:
        found = [tuple(model.tokenize(t) if isinstance(t, str) else list(t) for t in pair) for pair in pairs]
    if not all(len(pair) == 2 and all(pair) for pair in found):
        raise VectorError("got a pair with an empty text; expected (x, y) with at least one token each.")
    return found  # type: ignore[return-value]  # pairs, as checked
