"""What `head_effects` found: effects by query and head, rankings with their certainty, what the estimate may have missed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from iclmech._base import Claim, ICLMechError, Result, by_interval
from iclmech.analysis.statistics import unit_halves, unit_means

if TYPE_CHECKING:
    import pandas as pd

Head = tuple[int, int]
LEVEL = 0.95


def usual_n(n_layers: int, n_heads: int) -> int:
    """2 % of the heads, at least one."""
    return max(1, round(0.02 * n_layers * n_heads))


class HeadEffects(Result):
    """Causal indirect effects of heads, with their signs.

    `data`: `cie`, `cie_log` (query, layer, head): ΔP and Δ log P (nats) of the right answer's first token, NaN where a head was
    not run exactly; `estimate`, `estimate_log`: their first-order estimates; `verified`, `random` (layer, head): heads run
    exactly, and those of them drawn at random; `probability`, `first` (setting, query): P of that token, and whether it is the
    likeliest, under intact (icl; NaN where means were given) and corrupted prompts; `demonstrations` (query): which demonstration set it stands behind.
    """

    kind = "head-effects"

    # -- effects --------------------------------------------------------------------------------------------------

    @cached_property
    def cie(self) -> Float[Tensor, "query layer head"]:
        """ΔP of each query under each head; NaN where not verified."""
        return torch.tensor(self.data["cie"].values)

    @cached_property
    def verified(self) -> Bool[Tensor, "layer head"]:
        """Which heads were run exactly."""
        return torch.tensor(self.data["verified"].values != 0)

    @cached_property
    def aie(self) -> Float[Tensor, "layer head"]:
        """Mean effect over the queries: exact where verified, else the estimate."""
        return torch.tensor(self._per_query.mean(axis=0))

    @property
    def n(self) -> int:
        """How many heads were looked for."""
        return int(self.provenance["n"])

    @cached_property
    def _per_query(self) -> np.ndarray:
        exact = self.data["verified"].values != 0
        return np.where(exact, self.data["cie"].values, self.data["estimate"].values)

    @property
    def _candidates(self) -> np.ndarray:
        """Heads that a ranking may name, flat: the verified ones, or all where none is."""
        verified = self.data["verified"].values.reshape(-1) != 0
        return verified if verified.any() else np.ones_like(verified)

    def _ranked(self, values: np.ndarray) -> list[int]:
        values = np.where(self._candidates, values.reshape(-1), -np.inf)
        return [int(i) for i in np.argsort(-values, kind="stable") if np.isfinite(values[i])]

    def _named(self, flat: list[int]) -> list[Head]:
        width = self.data.sizes["head"]
        return [divmod(i, width) for i in flat]

    def top(self, n: int | None = None) -> list[Head]:
        """The n heads with the largest mean effect, signs kept, the largest first, as (layer, head).

        Only verified heads are named, unless none is. `n`: what was looked for by default.

        Raises:
            ICLMechError: more heads than were verified.
        """
        n = self.n if n is None else n
        ranked = self._ranked(self.aie.numpy())
        if not 0 <= n <= len(ranked):
            raise ICLMechError(
                f"got n={n}; {len(ranked)} heads were run exactly. Ask head_effects for a larger n, or for method='exact'."
            )
        return self._named(ranked[:n])

    def writers(self, n: int | None = None) -> list[Head]:
        """Up to n heads whose mean output raises the right answer, the strongest first."""
        return [head for head in self.top(self._most(n)) if float(self.aie[head]) > 0]

    def cancellers(self, n: int | None = None) -> list[Head]:
        """Up to n heads whose mean output lowers the right answer, the strongest first."""
        ranked = self._ranked(-self.aie.numpy())[: self._most(n)]
        return [head for head in self._named(ranked) if float(self.aie[head]) < 0]

    def _most(self, n: int | None) -> int:
        return min(self.n if n is None else n, int(self._candidates.sum()))

    # -- certainty ------------------------------------------------------------------------------------------------

    def _resampled(self, n_boot: int, seed: int) -> Float[np.ndarray, "replicate layer head"]:
        """Mean effects under resampled demonstration sets with all their queries (queries where there is one set)."""
        return unit_means(self._per_query, self.data["demonstrations"].values, n_boot=n_boot, seed=seed)

    def interval(
        self, level: float = LEVEL, n_boot: int = 1000, seed: int = 0
    ) -> tuple[Float[Tensor, "layer head"], Float[Tensor, "layer head"]]:
        """Low and high end of every head's mean effect: a bootstrap over demonstration sets, or over queries of a single one."""
        ends = np.quantile(self._resampled(n_boot, seed), [(1 - level) / 2, (1 + level) / 2], axis=0)
        return torch.tensor(ends[0]), torch.tensor(ends[1])

    def membership(self, n: int | None = None, n_boot: int = 1000, seed: int = 0) -> Float[Tensor, "layer head"]:
        """How often each head is among the top n when the prompts are drawn anew: a share, out of bootstrap replicates."""
        n = self._most(n)
        means = self._resampled(n_boot, seed)
        flat = np.where(self._candidates, means.reshape(n_boot, -1), -np.inf)
        among = np.zeros_like(flat)
        np.put_along_axis(among, np.argsort(-flat, axis=1, kind="stable")[:, :n], 1.0, axis=1)
        return torch.tensor(among.mean(axis=0).reshape(means.shape[1:]))

    def screening(self) -> dict[str, float]:
        """What the estimate is worth, over the heads that were run exactly; empty where there was no estimate or no such head.

        `recall`: share of the top n by exact effect that the estimate's own top n holds. `pearson`, `spearman`: of mean
        estimates and mean effects. `largest_other`: the largest |mean effect| met among heads drawn at random;
        `share_above`: at most this share of the heads that were not run has a larger one, with 95 % confidence.
        """
        estimate, exact = self.data["estimate"].mean("query").values.reshape(-1), self.aie.numpy().reshape(-1)
        run = self.data["verified"].values.reshape(-1) != 0
        if not run.any() or np.isnan(estimate).all():
            return {}
        best, screened = self._ranked(exact)[: self.n], np.argsort(-estimate, kind="stable")[: self.n]
        both = (estimate[run], exact[run])
        vary = run.sum() > 2 and all(np.ptp(one) > 0 for one in both)
        found = {
            "recall": float(np.isin(best, screened).mean()),
            "pearson": float(np.corrcoef(*both)[0, 1]) if vary else float("nan"),
            "spearman": float(np.corrcoef(*(stats.rankdata(one) for one in both))[0, 1]) if vary else float("nan"),
        }
        drawn = self.data["random"].values.reshape(-1) != 0
        if drawn.any():
            found["largest_other"] = float(np.abs(exact[drawn]).max())
            found["share_above"] = 1 - (1 - LEVEL) ** (1 / drawn.sum()) if not run.all() else 0.0
        return found

    # -- what it says ---------------------------------------------------------------------------------------------

    def summary(self) -> pd.DataFrame:
        """A row for every head, the largest mean effect on top: exact or estimated, its interval, and its membership."""
        import pandas as pd

        low, high = self.interval()
        columns = {
            "effect": self.aie, "low": low, "high": high, "membership": self.membership(),
            "estimate": torch.tensor(self.data["estimate"].mean("query").values),
            "effect_log": torch.tensor(self.data["cie_log"].mean("query").values), "verified": self.verified,
        }  # fmt: skip
        n_layers, n_heads = self.aie.shape
        names = {"layer": np.repeat(range(n_layers), n_heads), "head": np.tile(range(n_heads), n_layers)}
        table = pd.DataFrame({**names, **{name: value.reshape(-1).numpy() for name, value in columns.items()}})
        return table.sort_values("effect", ascending=False, kind="stable", ignore_index=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The heads with the largest effects, and those with the most negative ones."""
        table = self.summary()
        return {"Writers": table.head(8), "Cancellers": table.iloc[::-1].head(4)}

    def judged(self) -> list[Claim]:
        """Whether heads chosen on half of the prompts matter on the other half, and whether the estimate missed any."""
        claims = [self._chosen_on_half()]
        found = self.screening()
        if "largest_other" in found:
            drawn = self.data["random"].values != 0
            nth, other = float(self.aie[self.top()[-1]]), float(self.aie.numpy()[drawn].max())
            rule = f"the largest effect among {int(drawn.sum())} random others lies below that of head {self.n}"
            verdict = "holds" if other < nth else "does not hold"
            claim = f"The top {self.n} heads by attribution are the top {self.n} of all heads"
            claims.append(
                Claim(claim, other, float("nan"), float("nan"), f"head number {self.n} ({nth:.3g})", rule, verdict)
            )
        return claims

    def _chosen_on_half(self) -> Claim:
        units = self.data["demonstrations"].values
        first, second = unit_halves(units)
        measured = low = high = float("nan")
        if first.any() and second.any():
            best = self._ranked(self._per_query[first].mean(axis=0))[: self.n]
            values = self._per_query[second].reshape(int(second.sum()), -1)[:, best].sum(axis=1)
            measured, (low, high) = values.mean(), np.quantile(unit_means(values, units[second]), [0.025, 0.975])
        rule = (
            f"the summed effects of the top {self.n} heads, chosen on half of the prompts, lie above zero on the others"
        )
        claim = "Some heads carry what the demonstrations teach"
        return Claim(claim, float(measured), float(low), float(high), "no effect", rule, by_interval(low, high))

    def __repr__(self) -> str:
        best = ", ".join(f"L{layer}H{head} {float(self.aie[layer, head]):+.3f}" for layer, head in self.top()[:3])
        return f"HeadEffects({int(self.verified.sum())} of {self.verified.numel()} heads run exactly; {best})"
