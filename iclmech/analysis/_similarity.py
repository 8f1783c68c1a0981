"""The two similarities between what the demonstrations do in context and what a weight update does; and their null."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ._states import AnalysisError, States, cosine, layer_by_layer, same_site, tolerance_of


def _unit(h: Tensor) -> Tensor:
    return h / h.norm(dim=-1, keepdim=True)  # a state without length becomes NaN, and is masked


def _unit_shift(zs: Tensor, x: Tensor) -> Tensor:
    return _unit(x) - _unit(zs)


def _long_enough(shift: Tensor, tolerance: float) -> Tensor:
    return shift.norm(dim=-1) > tolerance  # unit vectors: the tolerance is relative; NaN compares as False


def sim_aou(
    zs: States, icl: States, ft: States, *, site: str = "attn_out", tolerance: float | None = None
) -> Float[Tensor, "query layer *position"]:
    """SimAOU: cos( n(h_icl) - n(h_zs), n(h_ft) - n(h_zs) ), with n(v) = v / |v| and h the attention output.

    Do the demonstrations in context and the weight update push the attention output the same way? Mean over queries
    is left to the caller. NaN where either shift is shorter than `tolerance` (default: `TOLERANCE` of the precision):
    such a shift has no direction. **Its null is not zero**: both shifts subtract the same vector; see
    `null_closed_form`.

    Args: `zs`, `icl`, `ft` hold `site` as [query, layer, ..., d_model], the same queries in the same order.
    Raises: `AnalysisError` if they differ in shape.
    Source: Dai et al., arXiv 2212.10559; Deutch et al., arXiv 2311.07772.
    """
    tensors = same_site(site, zs, icl, ft)
    tol = tolerance_of("state", tolerance, tensors, (zs, icl, ft))

    def one_layer(z: Tensor, i: Tensor, f: Tensor) -> Tensor:
        a, b = _unit_shift(z, i), _unit_shift(z, f)
        return cosine(a, b, _long_enough(a, tol) & _long_enough(b, tol))

    return layer_by_layer(one_layer, *tensors)


def null_closed_form(
    zs: States, icl: States, ft: States, *, site: str = "attn_out", tolerance: float | None = None
) -> Float[Tensor, "query layer *position"]:
    """What `sim_aou` would be on average if both states were displaced from the zero-shot one in unrelated directions.

    With c_x = cos(h_x, h_zs) and displacements isotropic around h_zs, the expectation is
    ½·sqrt((1 - c_icl)(1 - c_ft)): .25 at c = .5, and growing with the size of the update. The two unit shifts share
    the component along -h_zs, (1 - c) of a length sqrt(2 - 2c) each. Masked where `sim_aou` is masked.
    """
    tensors = same_site(site, zs, icl, ft)
    tol = tolerance_of("state", tolerance, tensors, (zs, icl, ft))

    def one_layer(z: Tensor, i: Tensor, f: Tensor) -> Tensor:
        a, b = _unit_shift(z, i), _unit_shift(z, f)
        # 1 - cos of unit vectors is half their squared distance: exact also where cos is nearly 1
        value = 0.5 * torch.sqrt((a.square().sum(-1) / 2) * (b.square().sum(-1) / 2))
        return torch.where(_long_enough(a, tol) & _long_enough(b, tol), value, torch.nan)

    return layer_by_layer(one_layer, *tensors)


def closed_form_null(
    zs: States, icl: States, ft: States, *, site: str = "attn_out", tolerance: float | None = None
) -> Float[Tensor, "query layer *position"]:
    """The former name of `null_closed_form`, which results call it by, too."""
    warnings.warn(
        "closed_form_null is called null_closed_form now, as in results; the old name goes with the next release.",
        DeprecationWarning,
        stacklevel=2,
    )
    return null_closed_form(zs, icl, ft, site=site, tolerance=tolerance)


def sim_aou_direction(
    zs: States, icl: States, direction: Tensor, *, site: str = "attn_out", tolerance: float | None = None
) -> Float[Tensor, "query layer *position"]:
    """cos( n(h_icl) - n(h_zs), direction ): SimAOU with a given vector in the place of the update's shift.

    With a centred Gaussian `direction` this is the weakest of the controls (0 on average, spread 1/sqrt(d_model)).
    """
    tensors = same_site(site, zs, icl, direction)
    tol = tolerance_of("state", tolerance, tensors[:2], (zs, icl))

    def one_layer(z: Tensor, i: Tensor, d: Tensor) -> Tensor:
        a = _unit_shift(z, i)
        return cosine(a, d, _long_enough(a, tol))

    return layer_by_layer(one_layer, *tensors)


_NOT_A_SCORE = 1e30  # what attention masks write in place of a score is larger than this


def _own_tokens(*scores: Tensor) -> tuple[tuple[Tensor, ...], Bool[Tensor, "query layer head key"]]:
    """Scores with 0 in place of what is not a score, and where the scores are.

    A NaN where the first (zero-shot) has a score stays: an update that diverged is masked, not an error.
    """
    first = scores[0]
    if first.ndim != 4:
        raise AnalysisError(f"got attention scores of shape {tuple(first.shape)}; expected [query, layer, head, key].")
    own = ~torch.isnan(first)
    if any((~torch.isnan(s) & ~own).any() for s in scores[1:]):
        raise AnalysisError(
            "the attention scores cover different tokens of the queries; expected the same prompts and the same "
            "position in every setting."
        )
    hidden = torch.stack([s.abs() > _NOT_A_SCORE for s in scores]).any(dim=0)  # outside a sliding window
    seen = own & ~hidden
    return tuple(torch.where(seen, s, torch.zeros((), dtype=s.dtype)) for s in scores), seen


def _score_shift_ok(shift: Tensor, references: tuple[Tensor, ...], tolerance: float) -> Tensor:
    """Longer than `tolerance` times the scores: this head's, or the layer's root mean square where that is larger."""
    size = torch.stack([r.norm(dim=-1) for r in references]).amax(dim=0)  # [query, head]
    typical = size.square().mean(dim=-1, keepdim=True).sqrt()
    return shift.norm(dim=-1) > tolerance * torch.maximum(size, typical)


def sim_am(
    zs: States, icl: States, ft: States, *, site: str = "attn_scores", tolerance: float | None = None
) -> Float[Tensor, "query layer head"]:
    """SimAM: cos( a_icl - a_zs, a_ft - a_zs ), a the pre-softmax scores over the query's own tokens.

    Mean over heads, then queries, is left to the caller. NaN (masked) where either shift is rounding noise (under
    rotary positions the whole of layer 0, where position and token are all that a score depends on), and where the
    query has fewer than two tokens, since a cosine of one number is ±1 whatever happened.

    Args: `zs`, `icl`, `ft` hold `site` as [query, layer, head, key], right-aligned, NaN on the left.
    Raises: `AnalysisError` if they differ in shape or cover different tokens.
    Source: Deutch et al., arXiv 2311.07772; the undifferenced one of Dai et al. is `attention_similarity`.
    """
    tensors = same_site(site, zs, icl, ft)
    tol = tolerance_of("score", tolerance, tensors, (zs, icl, ft))
    (z, i, f), seen = _own_tokens(*tensors)

    def one_layer(z: Tensor, i: Tensor, f: Tensor, s: Tensor) -> Tensor:
        a, b = i - z, f - z
        keep = _score_shift_ok(a, (z, i), tol) & _score_shift_ok(b, (z, f), tol) & (s.sum(-1) > 1)
        return cosine(a, b, keep)

    return layer_by_layer(one_layer, z, i, f, seen)


def sim_am_direction(
    zs: States, icl: States, direction: Tensor, *, site: str = "attn_scores", tolerance: float | None = None
) -> Float[Tensor, "query layer head"]:
    """cos( a_icl - a_zs, direction ): SimAM with a given vector in the place of the update's shift."""
    tensors = same_site(site, zs, icl)
    tol = tolerance_of("score", tolerance, tensors, (zs, icl))
    (z, i), seen = _own_tokens(*tensors)
    if direction.shape != z.shape:
        raise AnalysisError(
            f"got a direction of shape {tuple(direction.shape)}; expected that of the scores, {tuple(z.shape)}."
        )
    d = torch.where(seen, direction, torch.zeros((), dtype=direction.dtype))

    def one_layer(z: Tensor, i: Tensor, d: Tensor, s: Tensor) -> Tensor:
        a = i - z
        return cosine(a, d, _score_shift_ok(a, (z, i), tol) & (s.sum(-1) > 1))

    return layer_by_layer(one_layer, z, i, d, seen)


def attention_similarity(a: States, b: States, *, site: str = "attn_scores") -> Float[Tensor, "query layer head"]:
    """SimAM as Dai et al. define it, *undifferenced*: cos(a, b) of the pre-softmax scores over the query's own tokens.

    Call it with (icl, ft), and beside it with (icl, zs): the second is what there was to begin with. High for
    anything that leaves attention as it was, an update of zero included. One-token queries are masked (NaN).
    Source: Dai et al., arXiv 2212.10559.
    """
    (x, y), seen = _own_tokens(*same_site(site, a, b))
    return layer_by_layer(lambda x, y, s: cosine(x, y, s.sum(-1) > 1), x, y, seen)


def n_masked(values: Float[Tensor, "query *rest"]) -> Int[Tensor, "*rest"]:
    """How many queries are masked (NaN) in each entry."""
    return torch.isnan(values).sum(dim=0)
