"""What `compare_updates` brings back: function, implied weights and states of in-context learning and of updates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iclmech._base import Claim, Result
from iclmech.experiments._estimates import Lead

from ._asking import judged_over_prompts

COMPARISONS = ("update", "matched_update", "shuffled_y", "untrained", "icl_reordered", "icl_other_task")
SITES = ("attn_out", "resid_post")
_AGAINST = {
    "matched_update": "a random change that moves attn_out as far",
    "shuffled_y": "the same update on shuffled values",
    "untrained": "update and ICL of the untrained model",
    "icl_reordered": "ICL's own with its pairs in another order",
}
_THAN = {
    "holds": "more like ICL than",
    "does not hold": "less like ICL than",
    "not shown": "not shown to differ in likeness from",
    "not applicable": "not comparable with",
}
_STATES = {
    "sim_aou_lead": ("the", ("matched_update", "shuffled_y", "untrained", "icl_reordered")),
    "specific_lead": ("the task's own", ("shuffled_y", "icl_reordered")),
}


class FunctionUpdates(Result):
    """ICL beside updates of the learner's own weights.

    Attributes:
        data: an `xarray.Dataset` over tasks; `m_ci` (..., bound) is the interval of `m` over tasks.
            *(update, rate)*: `test_error` (squared / d, without noise), `train_loss`, `cos_icl` and `cos_bayes`, cosine of
            the implied weights with those of ICL and of the posterior, `linearity` (R² of the implied weights).
            *(update, rate, site, layer)*: `sim_rate`, SimAOU with ICL.
            *(update, comparison, site, layer)*, at the chosen rate: `sim_aou` with ICL, of the update; of a random weight
            change that moves every layer's attn_out as far; of the update on shuffled values; of update and ICL in the
            untrained model; of ICL with its pairs in another order, which is how alike one mechanism is to itself; and of
            ICL behind another function's pairs, which is how alike any two contexts are. `specific`: cosine of the difference
            between two functions in context with the difference between two updates, where what any context brings along
            falls out. `sim_aou_mean`, `specific_mean` (update, comparison, site): over layers; `sim_aou_lead`, `specific_lead`:
            the update's less the comparison's. `learnt`, `cos_shuffled`, `cos_lead` (update): zero-shot error less the update's; `cos_icl` on
            shuffled values, and `cos_icl` less that.
            *(reference)*: `reference_error` of zero-shot, ICL, ICL reordered and Bayes, `reference_cos` with ICL's weights.
            `chosen` (update): the number of the rate with the least test error.
    """

    kind = "compare-updates"

    def judged(self) -> list[Claim]:
        """For every update: does it reach ICL's function, and are its states more like ICL's than each comparison's?"""
        leads = [Lead("ICL learns the function", "icl_gain", {}, "zero-shot answers")]
        for update in map(str, self.data["update"].values):
            at = {"update": update}
            leads.append(Lead(f"{update} learns the function", "learnt", at, "zero-shot answers"))
            leads.append(Lead(f"{update} implies ICL's weights", "cos_lead", at, _AGAINST["shuffled_y"]))
            for site in SITES:
                for name, (what, controls) in _STATES.items():
                    for comparison in controls:
                        text = f"{update} is more like ICL in {what} {site} than {_AGAINST[comparison]}"
                        where = {**at, "site": site, "comparison": comparison}
                        leads.append(Lead(text, name, where, _AGAINST[comparison]))
        claims = judged_over_prompts(self, leads, "tasks")
        return [replace(c, about={**c.about, "of": lead.name}) for c, lead in zip(claims, leads, strict=True)]

    def verdict_on(self, update: str) -> str:
        """Function and states of one update in a sentence, by the claims and nothing else."""
        mine = [claim for claim in self.judged() if claim.about.get("update") == update]
        function = next(claim.verdict for claim in mine if "implies" in claim.claim)
        said = [f"{update} {'implies' if function == 'holds' else 'is not shown to imply'} ICL's weights"]
        for name, (what, controls) in _STATES.items():
            found = {
                c.about["comparison"]: c.verdict
                for c in mine
                if c.about.get("of") == name and c.about["site"] == SITES[0]
            }
            words = [f"{_THAN[found[control]]} {_AGAINST[control]}" for control in controls]
            said.append(f"in {what} {SITES[0]} it is {', '.join(words)}")
        return "; ".join(said) + "."

    def answer(self) -> list[str]:
        """Function against mechanism, for every update at its best rate."""
        d, lines = self.data, []
        errors = {str(r): float(d["reference_error"].sel(reference=r)) for r in d["reference"].values}
        lines.append(
            f"Test error (squared / d): zero-shot {errors['zs']:.3g}, ICL {errors['icl']:.3g}, Bayes {errors['bayes']:.3g}."
        )
        for update in map(str, d["update"].values):
            at = d.sel(update=update).isel(rate=int(d["chosen"].sel(update=update)))
            sims, own = (_listed(at[f"{name}_mean"].sel(site=SITES[0])) for name in ("sim_aou", "specific"))
            lines.append(
                f"{update} at rate {float(at['rate']):g}: test error {float(at['test_error']):.3g}, cosine of its implied weights "
                f"with ICL's {float(at['cos_icl']):.3g} (on shuffled values {float(at['cos_shuffled']):.3g}; ICL with its pairs "
                f"in another order {float(d['reference_cos'].sel(reference='icl_reordered')):.3g}). SimAOU of attention outputs with "
                f"ICL: {sims}; of the task's own part: {own}."
            )
            lines.append(self.verdict_on(update))
        return [*lines, *super().answer()]


def _listed(means: Any) -> str:
    """The numbers by comparison, as text."""
    shown = {str(c): float(means.sel(comparison=c)) for c in means["comparison"].values}
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in shown.items() if value == value)
