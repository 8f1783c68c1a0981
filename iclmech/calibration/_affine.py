"""A supervised ceiling: the best scale and shift of every label's score, fitted on labelled queries."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.analysis import AnalysisError
from iclmech.captures import Activations


@dataclass(frozen=True)
class AffineMap:
    """score of a label → scale · score + shift, a scale and a shift for each label.

    Attributes:
        scale: 1 leaves a label's score as it is; a negative one turns it around.
        shift: in nats.
    """

    scale: Float[Tensor, " label"]
    shift: Float[Tensor, " label"]

    def applied(self, acts: Activations) -> Activations:
        """The same activations with mapped label scores; the scores of right answers are mapped with their label.

        Raises:
            AnalysisError: another number of labels.
        """
        scores = acts.label_scores
        if scores.shape[1] != len(self.scale):
            raise AnalysisError(
                f"got {scores.shape[1]} labels; this map is of {len(self.scale)}. Fit one on the same task."
            )
        mapped = scores.double() * self.scale + self.shift
        labels = torch.tensor([-1 if y is None else int(y) for y in acts.meta.get("labels", [None] * len(acts))])
        gold = mapped.gather(1, labels.clamp(min=0)[:, None])[:, 0]
        targets = torch.where(labels >= 0, gold.to(scores.dtype), acts.target_scores)
        meta = {**acts.meta, "calibrated": True}
        return replace(acts, label_scores=mapped.to(scores.dtype), target_scores=targets, meta=meta)


def fit_affine(acts: Activations, labels: list[int | None], *, ridge: float = 0.01) -> AffineMap:
    """The scale and shift of each label with the lowest negative log-likelihood on these queries: what no prior can exceed by far.

    Minimises mean NLL + ridge / 2 · (|scale - 1|² + |shift|²), a convex problem. All priors are shifts, and cannot turn a boundary
    around; a scale can. Fit it on *training* queries: with labels of the test it is no ceiling but a leak.

    Args:
        acts: label scores of labelled queries.
        labels: their class indices; queries without one are left out.
        ridge: pull towards the identity.

    Raises:
        AnalysisError: no labelled query, or another number of labels.

    Source: vector scaling, Guo et al., arXiv 1706.04599, on label scores; that shifts cannot turn a boundary, arXiv 2505.23783.

    >>> import torch, iclmech as icl
    >>> scores = torch.tensor([[0.0, 2.0], [0.0, 3.0], [0.0, -2.0], [0.0, -3.0]])  # the wrong way round
    >>> acts = icl.Activations({}, {}, scores, torch.zeros(4), "icl", ())
    >>> fit_affine(acts, [0, 0, 1, 1]).applied(acts).predictions.tolist()
    [0, 0, 1, 1]
    """
    if len(labels) != len(acts):
        raise AnalysisError(f"got {len(labels)} labels for {len(acts)} queries; expected one each.")
    known = [i for i, y in enumerate(labels) if y is not None]
    if not known:
        raise AnalysisError("got no query with a label; expected some to fit the map on.")
    scores = acts.label_scores[known].double()
    gold = torch.tensor([int(labels[i] or 0) for i in known])
    start = torch.stack([torch.ones(scores.shape[1]), torch.zeros(scores.shape[1])]).double()
    weights = start.clone().requires_grad_()
    search = torch.optim.LBFGS([weights], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        logits = scores * weights[0] + weights[1]
        value = torch.nn.functional.cross_entropy(logits, gold) + 0.5 * ridge * (weights - start).square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)  # type: ignore[arg-type]  # a closure that returns a tensor, as LBFGS wants
    return AffineMap(*weights.detach())
