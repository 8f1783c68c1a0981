"""How far hidden states move, whether two moves agree, and whether two sets of states have one geometry."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ._states import States, cosine, layer_by_layer, same_site, tolerance_of


def shift_size(zs: States, x: States, *, site: str = "resid_post") -> Float[Tensor, "query layer *position"]:
    """|h_x - h_zs| / |h_zs|: the length of the move from zero-shot, in lengths of the zero-shot state. NaN at h_zs = 0."""
    tensors = same_site(site, zs, x)

    def one_layer(z: Tensor, h: Tensor) -> Tensor:
        size = z.norm(dim=-1)
        return torch.where(size > 0, (h - z).norm(dim=-1) / size, torch.nan)

    return layer_by_layer(one_layer, *tensors)


def displacement(zs: States, other: States, *, site: str = "attn_out") -> Float[Tensor, "query layer *position"]:
    """1 - cos(h, h_zs): how far a setting turns the states away from zero-shot, between 0 and 2.

    Beside every similarity: `sim_aou` of displacements without a preferred direction is ½·sqrt(d_icl·d_ft), so two
    updates are comparable where they displace alike (`statistics.at_equal_displacement`). NaN where a state has no length.

    Args:
        zs, other: hold `site` as [query, layer, ..., d_model], the same queries in the same order.
        site: which states.

    Raises:
        AnalysisError: different shapes.

    >>> import torch, iclmech as icl
    >>> zs, icl_states = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 3.0]]])
    >>> icl.metrics.displacement(zs, icl_states).item()
    1.0
    """

    def one_layer(z: Tensor, h: Tensor) -> Tensor:
        # half the squared distance of unit vectors: exact also where the cosine is nearly 1
        return (h / h.norm(dim=-1, keepdim=True) - z / z.norm(dim=-1, keepdim=True)).square().sum(-1) / 2

    return layer_by_layer(one_layer, *same_site(site, zs, other))


def shift_cosine(
    zs: States, a: States, b: States, *, site: str = "resid_post", tolerance: float | None = None
) -> Float[Tensor, "query layer *position"]:
    """cos(h_a - h_zs, h_b - h_zs) of the states as they are (not of unit vectors, as in `sim_aou`).

    NaN where a move is shorter than `tolerance` times the zero-shot state.
    """
    tensors = same_site(site, zs, a, b)
    tol = tolerance_of("state", tolerance, tensors, (zs, a, b))

    def one_layer(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
        shortest = torch.minimum((x - z).norm(dim=-1), (y - z).norm(dim=-1))
        return cosine(x - z, y - z, shortest > tol * z.norm(dim=-1))

    return layer_by_layer(one_layer, *tensors)


def _hsic(k: Tensor, m: Tensor) -> Tensor:
    """The unbiased HSIC estimator (Song et al. 2012) of two Gram matrices with zero diagonals."""
    n = k.shape[0]
    first = (k * m).sum()
    second = k.sum() * m.sum() / ((n - 1) * (n - 2))
    third = 2 * (k.sum(0) @ m.sum(0)) / (n - 2)
    return (first + second - third) / (n * (n - 3))


def _gram(x: Tensor) -> Tensor:
    x = (x - x.mean(dim=0)).flatten(1)  # HSIC ignores the mean; taking it out first keeps the digits
    gram = x @ x.T
    return gram.fill_diagonal_(0)


def linear_cka(a: States, b: States, *, site: str = "resid_post") -> Float[Tensor, " layer"]:
    """Linear CKA over the queries with the *debiased* HSIC estimator, layer by layer; about 0 for unrelated states.

    The plain estimator gives .75 for independent Gaussians with 256 queries of 768 dimensions. Needs four queries;
    NaN with fewer and where the states of a layer do not vary. Holds one [query, query] matrix per side. To compare
    shifts, hand over differences of tensors.
    Source: Kornblith et al. 2019; the estimator: Song et al. 2012, Nguyen et al. 2021.
    """
    x, y = same_site(site, a, b)
    values = []
    for layer in range(x.shape[1]):
        if x.shape[0] < 4:
            values.append(torch.tensor(torch.nan, dtype=torch.float64))
            continue
        k, m = _gram(x[:, layer].double()), _gram(y[:, layer].double())
        kk, mm = _hsic(k, k), _hsic(m, m)
        value = _hsic(k, m) / (kk.clamp(min=0) * mm.clamp(min=0)).sqrt()
        values.append(torch.where((kk > 0) & (mm > 0), value, torch.nan))
    return torch.stack(values).to(x.dtype if x.dtype == torch.float64 else torch.float32)
