"""What ablations of heads found, and what they say."""

from __future__ import annotations

import numpy as np

from iclmech._base import Claim, Result, by_interval
from iclmech.analysis.statistics import unit_means

RANKINGS = ("function_vector", "induction", "random_function_vector", "random_induction")
TITLES = {
    "function_vector": "function-vector heads",
    "induction": "induction heads",
    "random_function_vector": "random heads of the layers of function-vector heads",
    "random_induction": "random heads of the layers of induction heads",
}


class HeadsThatMatter(Result):
    """Accuracy without the best heads by either score.

    `data`: `function_vector_score`, `induction_score` (layer, head); `accuracy`, `accuracy_ci` (ranking, share[, bound]) under
    ablation of that share of all heads; `right` (ranking, share, query), for random heads the mean over draws; `copying_loss`
    (ranking, share), nats per token on the second copy of random tokens; `right_intact` (query), `copying_loss_intact`: with all
    heads. ranking: function_vector, induction (each without the other's top), random_*: as many heads of the same layers.
    """

    kind = "heads-that-matter"

    def judged(self) -> list[Claim]:
        """Three paired contrasts of accuracy, each the mean over the shares."""
        pairs = [
            ("Function-vector heads matter more than random heads of their layers", "random_function_vector", "function_vector"),
            ("Induction heads matter more than random heads of their layers", "random_induction", "induction"),
            ("Function-vector heads matter more than induction heads", "induction", "function_vector"),
        ]  # fmt: skip
        units, claims = self.data["demonstrations"].values, []
        for claim, more, less in pairs:
            difference = (
                (self.data["right"].sel(ranking=more) - self.data["right"].sel(ranking=less)).mean("share").values
            )
            low, high = (float(v) for v in np.nanquantile(unit_means(difference, units), [0.025, 0.975]))
            rule = "accuracy without the one minus accuracy without the other, mean over the shares; its 95 % interval lies above zero"
            verdict = by_interval(low, high) if (low, high) != (0, 0) else "not shown"
            claims.append(Claim(claim, float(np.nanmean(difference)), low, high, TITLES[more], rule, verdict))
        return claims

    def answer(self) -> list[str]:
        """Accuracies at the largest share, and the claims."""
        if self.missing:
            return [self.missing]
        at = self.data.isel(share=-1)
        parts = [f"{float(at['accuracy'].sel(ranking=name)):.2f} without {TITLES[name]}" for name in RANKINGS]
        whole = float(self.data["right_intact"].mean())
        text = f"Accuracy is {whole:.2f} with all heads; with {float(at['share']):.0%} of them ablated, {', '.join(parts)}."
        return [text, *super().answer()]
