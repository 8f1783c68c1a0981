"""What the right labels add to a similarity, beyond what any labelling of the same demonstrations does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ._states import AnalysisError, cosine, tolerance_of

MOST_KEPT = 0.8
"""A permutation that leaves a larger share of the labels as they were is no draw of other labels."""


class LabelSpecific(NamedTuple):
    """Of each query and layer, NaN where masked; `delta` is the estimate, the rest stands beside it.

    Attributes:
        delta: s(0,0) - mean over j of ½[s(0,j) + s(j,0)], averaged over orders; its null is zero.
        right: s(0,0), the right labels on both sides.
        crossed: ½[s(0,j) + s(j,0)], the right labels on one side only.
        matched: s(j,j), the same wrong labels on both sides.
        same_order: `delta` with the update in the prompt's own order, where that was given: label recency is in it.
        draws: labellings in A, B and J that were not masked.
    """

    delta: Tensor
    right: Tensor
    crossed: Tensor
    matched: Tensor
    same_order: Tensor | None
    draws: tuple[int, int, int]


def share_kept(labels: Int[Tensor, "labelling demonstration"]) -> Float[Tensor, " labelling"]:
    """The share of demonstrations that each labelling leaves as labelling 0, the true one, has them.

    >>> import torch, iclmech as icl
    >>> icl.metrics.share_kept(torch.tensor([[0, 1, 0, 1], [0, 0, 1, 1]])).tolist()
    [1.0, 0.5]
    """
    return (labels == labels[0]).float().mean(dim=-1)


def sim_aou_labels(
    icl: Float[Tensor, "labelling ... d_model"],
    ft: Float[Tensor, "labelling ... d_model"],
    *,
    baseline_icl: Sequence[int],
    baseline_ft: Sequence[int],
    others: Sequence[int],
    kept: Float[Tensor, " labelling"] | None = None,
    same_order: Float[Tensor, "labelling ... d_model"] | None = None,
    tolerance: float | None = None,
) -> LabelSpecific:
    """The label-specific similarity: what the right labels add, in the context and in the update.

    Labelling 0 is the true one, the others are permutations of its labels. With baselines that are means over sets of
    permutations A for the context and B for the update, s(i,j) = cos( h_icl^i - mean_A h_icl, h_ft^j - mean_B h_ft ), and

        delta = s(0,0) - mean over j in J of ½[ s(0,j) + s(j,0) ].

    Its null is zero. That asks for three things. A, B and J share no labelling: with a baseline that leaves out the
    labelling itself and averages the rest, deviations sum to zero and s(0,j) is about -s(0,0)/(M-1) for M labellings.
    The update takes the demonstrations in an order drawn independently of the prompt's, since the labels that come last
    move both sides alike whatever they stand beside. And permutations keep as many labels of each class as chance does
    (n_c·n_c'/k of class c become c'), so that no draw is right by luck.

    Args:
        icl: attn_out behind the demonstrations, [labelling, query, layer, d_model]; an axis of orders behind the labelling
            is paired with that of `ft`.
        ft: attn_out zero-shot under the update, [labelling, order, query, layer, d_model], two or more orders, over which
            s is averaged; or without that axis.
        baseline_icl, baseline_ft, others: the sets A, B (four or more each) and J (two or more), as labelling numbers.
        kept: share of labels that each labelling keeps (`share_kept`); draws above .8 are left out.
        same_order: `ft` with the update in the prompt's order, to see what label recency alone would have added.
        tolerance: relative length below which a deviation has no direction; by default that of the precision.

    Returns:
        `LabelSpecific`. NaN where s(0,0) has no direction, and everywhere if fewer than two labellings of A or B or
        none of J are left.

    Raises:
        AnalysisError: shapes that do not match, sets that overlap, hold 0 or a labelling that is not there.

    Source: the paired design is this project's; h as in Deutch et al., arXiv 2311.07772.

    >>> import torch, iclmech as icl
    >>> h = torch.randn(11, 4, 2, 8, generator=torch.Generator().manual_seed(0))  # 11 labellings, 4 queries, 2 layers
    >>> found = icl.metrics.sim_aou_labels(h, h, baseline_icl=range(1, 5), baseline_ft=range(5, 9), others=(9, 10))
    >>> tuple(found.delta.shape), found.draws
    ((4, 2), (4, 4, 2))
    """
    context, update = _with_orders(icl), _with_orders(ft)
    sets = [_indices(s, len(context), name) for name, s in (("A", baseline_icl), ("B", baseline_ft), ("J", others))]
    _check(context, update, sets)
    if kept is not None:
        sets = [[i for i in s if not float(kept[i]) > MOST_KEPT] for s in sets]
    draws = (len(sets[0]), len(sets[1]), len(sets[2]))
    tol = tolerance_of("state", tolerance, (icl, ft), (icl, ft))
    arms = _arms(context, update, sets, tol)
    recency = None
    if same_order is not None:
        last = _with_orders(same_order)
        _check(context, last, sets)
        recency = _arms(context, last, sets, tol)[0]
    return LabelSpecific(*arms, same_order=recency, draws=draws)


def _with_orders(h: Tensor) -> Tensor:
    if h.ndim not in (4, 5):
        raise AnalysisError(
            f"got states of shape {tuple(h.shape)}; expected [labelling, query, layer, d_model], with an axis of orders "
            "behind the labelling if there are several."
        )
    return h if h.ndim == 5 else h[:, None]


def _indices(labellings: Sequence[int], n: int, name: str) -> list[int]:
    chosen = [int(i) for i in labellings]
    if any(not 0 < i < n for i in chosen):
        raise AnalysisError(f"got {name} = {chosen}; expected labellings between 1 and {n - 1} (0 is the true one).")
    return chosen


def _check(context: Tensor, update: Tensor, sets: Sequence[Sequence[int]]) -> None:
    together = [i for s in sets for i in s]
    if len(set(together)) < len(together):
        raise AnalysisError(f"got the sets {list(map(list, sets))}; expected A, B and J without a labelling in common.")
    orders = {context.shape[1], update.shape[1]} - {1}
    if context.shape[0] != update.shape[0] or context.shape[2:] != update.shape[2:] or len(orders) > 1:
        raise AnalysisError(
            f"got states of shapes {tuple(context.shape)} and {tuple(update.shape)} (labelling, order, query, layer, "
            "d_model); expected the same labellings, queries and layers, and the same number of orders or one."
        )


def _arms(
    context: Tensor, update: Tensor, sets: Sequence[Sequence[int]], tolerance: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(delta, right, crossed, matched), each [query, layer]."""
    a, b, j = sets
    if len(a) < 2 or len(b) < 2 or not j:
        nothing = torch.full(tuple(context.shape[2:4]), torch.nan)
        return nothing, nothing, nothing, nothing
    by_layer = []
    for layer in range(context.shape[3]):
        sides = []
        for h, base in ((context, a), (update, b)):
            states = h[:, :, :, layer].double()  # [labelling, order, query, d_model]
            shift = states[[0, *j]] - states[base].mean(dim=0)
            sides.append((shift, shift.norm(dim=-1) > tolerance * states[[0, *j]].norm(dim=-1)))
        by_layer.append(_one_layer(*sides))
    dtype = context.dtype if context.dtype == torch.float64 else torch.float32
    delta, right, crossed, matched = (torch.stack(arm, dim=-1).to(dtype) for arm in zip(*by_layer, strict=True))
    return delta, right, crossed, matched


def _one_layer(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """The arms of one layer, [query]; first entry of the labelling axis: the true labels."""

    def s(i: slice, j: slice) -> Tensor:
        a, b = torch.broadcast_tensors(x[0][i], y[0][j])
        return cosine(a, b, x[1][i] & y[1][j])

    true, wrong = slice(0, 1), slice(1, None)
    right, crossed = s(true, true), 0.5 * (s(true, wrong) + s(wrong, true))
    arms = (right - crossed, right, crossed, s(wrong, wrong))
    return tuple(arm.flatten(0, 1).nanmean(dim=0) for arm in arms)
