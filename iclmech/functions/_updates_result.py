"""What `compare_updates` brings back: function, implied weights and states of in-context learning and of updates."""

from __future__ import annotations

import xarray as xr

from iclmech._base import Claim, Result, by_interval

COMPARISONS = ("update", "matched_update", "shuffled_y", "untrained")


class FunctionUpdates(Result):
    """ICL beside updates of the learner's own weights.

    Attributes:
        data: an `xarray.Dataset` over tasks; `m_ci` (..., bound) is the interval of `m` over tasks.
            *(update, rate)*: `test_error` (squared / d, without noise), `train_loss`, `cos_icl` and `cos_bayes`, cosine of
            the implied weights with those of ICL and of the posterior, `linearity` (R² of the implied weights).
            *(update, rate, layer)*: `sim_rate`, SimAOU with ICL.
            *(update, comparison, layer)*, at the chosen rate: `sim_aou`, of the update, of a random weight change that moves
            every layer's states as far, of the update on shuffled values, and of update and ICL in the untrained model.
            `shuffled_cos_icl` (update): as `cos_icl`, of the update on shuffled values.
            *(reference)*: `reference_error` of zero-shot, ICL and Bayes; `icl_cos_bayes`.
            `chosen` (update): the number of the rate with the least test error.
    """

    kind = "compare-updates"

    def judged(self) -> list[Claim]:
        """For every update: does it reach ICL's function, and are its states more like ICL's than chance?"""
        d = self.data
        found = [_claim("ICL learns the function", d, "icl_gain", {}, "zero-shot answers",
                        "zero-shot error less ICL's is above zero")]  # fmt: skip
        for update in map(str, d["update"].values):
            at = {"update": update}
            same = _claim(f"{update} implies ICL's weights", d, "cos_gain", at, "the same update on shuffled values",
                          "cosine with ICL's implied weights, less that of the control, is above zero")  # fmt: skip
            alike = _claim(f"{update} moves states as ICL does", d, "sim_gain", at, "a random change that moves states as far",
                           "mean SimAOU over layers, less that of the control, is above zero")  # fmt: skip
            more = _claim(f"{update} is more alike in the trained model", d, "trained_gain", at, "the untrained model",
                          "mean SimAOU over layers, less that of the untrained model, is above zero")  # fmt: skip
            found += [same, alike, more]
        return found

    def answer(self) -> list[str]:
        """Function against mechanism, for every update at its best rate."""
        d, lines = self.data, []
        errors = {str(r): float(d["reference_error"].sel(reference=r)) for r in d["reference"].values}
        lines.append(
            f"Test error (squared / d): zero-shot {errors['zs']:.3g}, ICL {errors['icl']:.3g}, Bayes {errors['bayes']:.3g}."
        )
        for update in map(str, d["update"].values):
            at = d.sel(update=update).isel(rate=int(d["chosen"].sel(update=update)))
            sim = {c: float(at["sim_aou"].sel(comparison=c).mean()) for c in COMPARISONS}
            lines.append(
                f"{update} at rate {float(at['rate']):g}: test error {float(at['test_error']):.3g}, cosine of its implied weights "
                f"with ICL's {float(at['cos_icl']):.3g}; SimAOU {sim['update']:.3g}, random change of equal displacement "
                f"{sim['matched_update']:.3g}, shuffled values {sim['shuffled_y']:.3g}, untrained {sim['untrained']:.3g}."
            )
        return [*lines, *super().answer()]


def _claim(claim: str, data: xr.Dataset, name: str, at: dict[str, str], control: str, rule: str) -> Claim:
    value = float(data[name].sel(at))
    low, high = (float(v) for v in data[f"{name}_ci"].sel(at).values)
    return Claim(claim, value, low, high, control, rule, by_interval(low, high), about=at)
