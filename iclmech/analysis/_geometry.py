"""Does a set of states encode what another set, or a known class, says about the same items?"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ._states import AnalysisError


def _neighbours(features: Float[Tensor, "item d"], k: int) -> Bool[Tensor, "item item"]:
    """The k nearest of each item under cosine similarity, itself left out. Ties go by index."""
    n = len(features)
    if not 1 <= k < n:
        raise AnalysisError(f"got k={k} for {n} items; expected 1 to {n - 1}.")
    unit = torch.nn.functional.normalize(features.double(), dim=-1)
    similarity = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = similarity.sort(dim=-1, descending=True, stable=True).indices[:, :k]
    return torch.zeros(n, n, dtype=torch.bool).scatter_(1, nearest, True)


def kernel_alignment(
    a: Float[Tensor, "item d_a"], b: Float[Tensor, "same_item d_b"], k: int | None = None
) -> Float[Tensor, " item"]:
    """Mutual nearest neighbours: |top-k neighbours under a ∩ top-k neighbours under b| / k for each item.

    Cosine similarity, the item itself left out. Chance is k / (n - 1); 1 for any rotation or scaling of one set.
    `k` defaults to n / 8, the paper's 64 of 512. For an interval resample these numbers, never the items: duplicates
    would become each other's neighbours.
    Source: Cho et al., arXiv 2410.04468, after Huh et al., arXiv 2405.07987.
    """
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise AnalysisError(
            f"got shapes {tuple(a.shape)} and {tuple(b.shape)}; expected [item, width], the same items."
        )
    k = max(1, len(a) // 8) if k is None else k
    return (_neighbours(a, k) & _neighbours(b, k)).sum(dim=-1).float() / k


def neighbour_purity(
    features: Float[Tensor, "item d"], classes: Int[Tensor, " same_item"], k: int | None = None
) -> Float[Tensor, " item"]:
    """The share of an item's k nearest neighbours (cosine) that are of its class. `purity_chance` is what to expect."""
    if classes.shape != (len(features),):
        raise AnalysisError(f"got {tuple(classes.shape)} classes for {len(features)} items; expected one each.")
    k = max(1, len(features) // 8) if k is None else k
    same = classes[:, None] == classes[None]
    return (_neighbours(features, k) & same).sum(dim=-1).float() / k


def purity_chance(classes: Int[Tensor, " item"]) -> Float[Tensor, " item"]:
    """`neighbour_purity` if neighbours were drawn at random: the share of an item's class among the others."""
    same = classes[:, None] == classes[None]
    return (same.sum(dim=-1) - 1).float() / max(len(classes) - 1, 1)


def centroid_hits(
    features: Float[Tensor, "item d"], classes: Int[Tensor, " item"], groups: Int[Tensor, " item"] | None = None
) -> Float[Tensor, " item"]:
    """1 where the nearest class mean (Euclidean; an item's own mean is computed without it) is the item's own, else 0.

    `groups`: items of another group give no means (contexts with redrawn label words, say). NaN where fewer than two
    classes have another item. A known classifier: its accuracy says whether the states *suffice* to tell the classes.
    Source: Cho et al., arXiv 2410.04468.
    """
    x = features.double()
    groups = torch.zeros_like(classes) if groups is None else groups
    out = torch.full((len(x),), torch.nan, dtype=torch.float64)
    for group in groups.unique().tolist():
        mine = torch.nonzero(groups == group)[:, 0]
        out[mine] = _leave_one_out(x[mine], classes[mine])
    return out.float()


def _leave_one_out(x: Tensor, classes: Tensor) -> Tensor:
    """Distance to a mean without the item itself: for its own class, |x - m|·n/(n-1)."""
    names = classes.unique()
    member = classes[:, None] == names[None]
    count = member.sum(dim=0)
    means = torch.stack([x[member[:, c]].mean(dim=0) for c in range(len(names))])
    distance = torch.cdist(x, means)
    grown = distance * (count / (count - 1).clamp(min=1))[None]
    distance = torch.where(member, grown, distance)
    distance = torch.where(member & (count[None] < 2), torch.inf, distance)
    hit = names[distance.argmin(dim=-1)] == classes
    return torch.where(torch.isfinite(distance).sum(dim=-1) >= 2, hit.double(), torch.nan)
