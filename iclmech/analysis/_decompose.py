"""Where a state comes from: attention by head, attention and MLP, and what a state would predict layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ._states import AnalysisError, States, same_site, site_of


def attention_by_head(
    z: States, weights: Any, layers: Sequence[int] | None = None
) -> Float[Tensor, "query layer head d_model"]:
    """What each head writes to the residual stream: z_h W_O,h. With `weights.b_O` they sum to attn_out.

    Args: `z` holds the site "z" [query, layer, head, d_head]; `weights` is a `WeightsView` (W_O, b_O); `layers` are the
    layers of `z` (default: those of the activations, or all).
    Raises: `AnalysisError` if sizes differ.
    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits.
    """
    states = site_of(z, "z")
    w_o = weights.W_O[_layers_of(z, layers, len(weights.W_O))]
    if states.ndim != 4 or states.shape[1:] != w_o.shape[:3]:
        raise AnalysisError(
            f"got z of shape {tuple(states.shape)} and W_O of {tuple(w_o.shape)}; expected [query, layer, head, d_head] "
            "and [layer, head, d_head, d_model]. Name the captured layers in layers=."
        )
    return torch.einsum("qlhd,lhdm->qlhm", states.to(w_o.dtype), w_o)


def _layers_of(acts: Any, layers: Sequence[int] | None, n: int) -> list[int]:
    given = layers if layers is not None else getattr(acts, "layers", None)
    return list(range(n)) if given is None else list(given)


def head_shares(
    zs: States, x: States, weights: Any, layers: Sequence[int] | None = None
) -> Float[Tensor, "query layer head"]:
    """Each head's share of the shift of attn_out from zero-shot: its part of the shift, projected on the shift.

    ⟨Δ_h, Δ⟩ / |Δ|² with Δ = Σ_h Δ_h; shares sum to 1 over heads. NaN where attention does not move.
    """
    shift = attention_by_head(x, weights, layers) - attention_by_head(zs, weights, layers)
    return _shares(shift)


def component_shares(
    zs: Mapping[str, Tensor] | Any, x: Mapping[str, Tensor] | Any
) -> Float[Tensor, "query layer part"]:
    """Shares of attention (0) and MLP (1) in the shift that a block adds to the residual stream; they sum to 1.

    Needs the sites "attn_out" and "mlp_out" on both sides. NaN where the block adds no shift.
    """
    parts = [torch.sub(*same_site(site, x, zs)) for site in ("attn_out", "mlp_out")]
    return _shares(torch.stack(parts, dim=2))


def _shares(parts: Float[Tensor, "query layer part d_model"]) -> Float[Tensor, "query layer part"]:
    total = parts.sum(dim=2, keepdim=True)
    square = total.square().sum(dim=-1)
    value = (parts * total).sum(dim=-1) / square
    return torch.where(square > 0, value, torch.nan)


def label_trajectory(
    resid: States,
    readout: Callable[[Tensor], Tensor],
    label_tokens: Sequence[Sequence[int]],
    *,
    site: str = "resid_post",
) -> Float[Tensor, "query layer label"]:
    """Logit lens: log-probability (over the vocabulary) of each label word's first token, read off every layer's state.

    Args: `readout` is the model's own final norm and unembedding, `model.readout`; `label_tokens` the label words' tokens
    (`prompts.contexts[c].label_tokens`).
    Caveat: early layers do not write in the unembedding's basis; a low value there says little.
    Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
    """
    states = site_of(resid, site)
    first = [next(iter(tokens)) for tokens in label_tokens]
    with torch.no_grad():
        layers = [torch.log_softmax(readout(states[:, n]).float(), dim=-1)[:, first] for n in range(states.shape[1])]
    return torch.stack(layers, dim=1).cpu()


def subspace_overlap(
    zs: States, a: States, b: States, rank: int = 8, *, site: str = "resid_post"
) -> Float[Tensor, " layer"]:
    """Do two settings move the queries within the same few directions? ‖U_aᵀ U_b‖²_F / rank, layer by layer.

    U are the top `rank` right singular vectors of the shifts [query, d_model] from zero-shot (not centred: the common
    direction counts). 1: the same subspace; rank / d_model: unrelated ones. NaN where a side has fewer directions.
    """
    z, x, y = same_site(site, zs, a, b)
    if not 1 <= rank <= min(z.shape[0], z.shape[-1]):
        raise AnalysisError(
            f"got rank={rank}; expected 1 to {min(z.shape[0], z.shape[-1])}, the smaller of queries and width."
        )
    values = []
    for layer in range(z.shape[1]):
        bases = [_top_directions((s - z)[:, layer].double(), rank) for s in (x, y)]
        known = all(basis is not None for basis in bases)
        values.append((bases[0] @ bases[1].T).square().sum() / rank if known else torch.tensor(torch.nan).double())  # type: ignore[operator, union-attr]  # known
    return torch.stack(values).float()


def _top_directions(rows: Tensor, rank: int) -> Tensor | None:
    _, s, vh = torch.linalg.svd(rows, full_matrices=False)
    return vh[:rank] if s[rank - 1] > 1e-9 * s[0].clamp(min=1e-30) else None
