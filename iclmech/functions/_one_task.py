"""One function: its pairs in context and as training sequences, points asked of it, and the weights that answers imply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.updates import Sample, squared_error

from ._answers import answers_of
from ._errors import FunctionError
from ._family import Family
from ._prompts import FunctionPrompts
from ._vocabulary import embedding_table


@dataclass(frozen=True, eq=False)
class OneTask:
    """k pairs of one function, and points that are asked behind them, one to a row.

    Attributes:
        rows: a prompt for each point: the same k pairs, and the point as the last.
        clean: the function at the points, without noise.
    """

    rows: FunctionPrompts
    clean: Float64[Tensor, " point"]

    @classmethod
    def drawn(cls, family: Family, k: int, n_points: int, seed: int) -> OneTask:
        """A function of the family, from a seed.

        Raises:
            FunctionError: a family whose values are not numbers.
        """
        if family.kind != "real":
            raise FunctionError(
                f"got {family.name}, whose answers are {family.kind}; expected a family of real values."
            )
        one = family.prompts(1, k + n_points, seed)

        def spread(values: Tensor) -> Tensor:
            own = values[0, k:, None]
            return torch.cat([values[:, :k].expand(n_points, *values[:, :k].shape[1:]), own], 1)

        truth = {name: value.expand(n_points, *value.shape[1:]) for name, value in one.truth.items()}
        return cls(replace(one, x=spread(one.x), y=spread(one.y), truth=truth), one.clean[0, k:])

    @property
    def points(self) -> Float64[Tensor, "point d"]:
        """What is asked."""
        return self.rows.x[:, -1]

    @cached_property
    def bayes(self) -> Float64[Tensor, " point"]:
        """The best answers there are."""
        return self.rows.family.bayes(self.rows)[:, -1]

    def samples(self, model: ICLModel, order: Tensor | None = None) -> list[Sample]:
        """The pairs as training sequences `<bos> x → y`, with squared error; `order` gives each point another's value."""
        table = embedding_table(model)
        x, y = self.rows.x[0, :-1].to(table), self.rows.y[0, :-1]
        y = y if order is None else y[order]
        return [
            Sample(torch.stack([table[0], point @ table[1:-1]]), [1], squared_error([float(value)], len(table) - 1))
            for point, value in zip(x, y, strict=True)
        ]

    def reordered(self, order: Tensor) -> OneTask:
        """The same pairs in another order, and the same points behind them: for the posterior the same task."""
        rows = self.rows
        places = torch.cat([order, torch.tensor([rows.n_examples - 1])])
        return replace(self, rows=replace(rows, x=rows.x[:, places], y=rows.y[:, places]))

    def behind(self, other: OneTask) -> OneTask:
        """The same points behind the pairs of another function, `other`'s; the truth stays that of this one."""
        rows, theirs = self.rows, other.rows
        x, y = (torch.cat([b[:, :-1], a[:, -1:]], 1) for a, b in ((rows.x, theirs.x), (rows.y, theirs.y)))
        return replace(self, rows=replace(rows, x=x, y=y))

    def states(
        self, model: ICLModel, setting: str, sites: Sequence[str] = ("attn_out",)
    ) -> tuple[dict[str, Tensor], Tensor]:
        """({site: [point, layer, d_model]}, answers [point]): behind the pairs, or ("zs") behind BOS alone."""
        acts: Activations = capture(model, self.rows, setting, (*sites, "logits"), "last")  # type: ignore[arg-type]
        return {site: acts[site] for site in sites}, answers_of(acts["logits"], self.rows)

    def error(self, answers: Tensor) -> float:
        """Mean squared error / d, against the function without noise."""
        return float((answers - self.clean).square().mean() / self.rows.d)


def implied_weights(
    points: Float64[Tensor, "*row point d"], answers: Float64[Tensor, "*row point"]
) -> tuple[Float64[Tensor, "*row d"], Float64[Tensor, "*row"]]:
    """The linear function nearest to answers at some points, and how much of their squares it explains (R² about zero).

    Where R² is low, answers are no linear function, and the weights say little.

    >>> points = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> weights, r2 = implied_weights(points, points @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    >>> weights.round(decimals=6).tolist(), round(float(r2), 6)
    ([1.0, 2.0, 3.0], 1.0)

    Source: Akyürek et al., arXiv 2211.15661, section 4.
    """
    weights = torch.linalg.lstsq(points, answers[..., None]).solution
    left = answers - (points @ weights)[..., 0]
    return weights[..., 0], 1 - left.square().sum(-1) / answers.square().sum(-1)
