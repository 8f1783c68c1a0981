"""What calibration and self-ensembles were worth, and whether the model is as right as it is sure."""

from __future__ import annotations

from iclmech._base import Claim, Result

from ._estimates import Lead, judge_leads


class CalibrationTable(Result):
    """Accuracy and calibration error by setting and method, three label biases, self-ensembles.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (…, bound) is the interval of `m`: two-way over seeds and queries, Student's over seeds for
            ece, ece_debiased, macro_f1 and bias.
            *By (setting, calibration)*: accuracy; above_none, paired; label_nll (nats, of the distribution over labels); brier;
            overconfidence, confidence - accuracy; ece with ece_floor (a perfectly calibrated model's mean) and ece_floor_95;
            ece_debiased; macro_f1.
            *By (bias)*: bias, total variation: vanilla, context, domain.
            *By (over, join)*: the same of self-ensembles over demonstrations or templates, with ensemble_above_single (the mean of
            its members) and ensemble_above_long (one context with all their demonstrations); long_accuracy, single_accuracy.
            *By (calibration, bin)*, setting ICL, all seeds: bin_confidence, bin_accuracy, bin_count, and bin_low, bin_high, where a
            perfectly calibrated model would lie.
    """

    kind = "calibration"

    def judged(self) -> list[Claim]:
        """Each method against none; each ensemble against a single context and against one long context; errors above their floor."""
        d, level = self.data, float(self.provenance.get("level", 0.95))
        methods = [str(m) for m in d["calibration"].values if str(m) != "none"]
        families = [
            [
                Lead(
                    f"{m} calibration raises accuracy ({s})", "above_none", {"setting": s, "calibration": m}, "as it is"
                )
                for s in ("zs", "icl")
                for m in methods
                if "above_none" in d
            ]
        ]
        if "ensemble_accuracy" in d:
            for name, text, control in (
                ("ensemble_above_single", "beats its single members", "mean of the members"),
                ("ensemble_above_long", "beats one context with all its demonstrations", "one long context"),
            ):
                families.append(
                    [
                        Lead(
                            f"an ensemble over {over} by {join} {text}",
                            name,
                            {"over": str(over), "join": str(join)},
                            control,
                        )
                        for over in d["over"].values
                        for join in d["join"].values
                    ]
                )
        return [claim for family in families for claim in judge_leads(d, family, level)]

    def answer(self) -> list[str]:
        """Accuracy and calibration error by method, biases, ensembles; what is shown."""
        d = self.data
        said = []
        for setting, called in (("zs", "Zero-shot"), ("icl", f"In context (k = {self.provenance['k']})")):
            parts = []
            for method in (str(m) for m in d["calibration"].values):
                at = {"setting": setting, "calibration": method}
                parts.append(
                    f"{method} {float(d['accuracy'].sel(at)):.2f} (ECE {float(d['ece'].sel(at)):.2f}, floor {float(d['ece_floor'].sel(at)):.2f}, "
                    f"confidence − accuracy {float(d['overconfidence'].sel(at)):+.2f})"
                )
            said.append(f"{called}, accuracy: " + "; ".join(parts) + ".")
        biases = ", ".join(f"{b} {float(d['bias'].sel(bias_of=b)):.2f}" for b in d["bias_of"].values)
        said.append(f"Label bias, total variation: {biases}.")
        if "ensemble_accuracy" in d:
            best = max(
                ((o, j) for o in d["over"].values for j in d["join"].values),
                key=lambda at: float(d["ensemble_accuracy"].sel(over=at[0], join=at[1])),
            )
            value = float(d["ensemble_accuracy"].sel(over=best[0], join=best[1]))
            said.append(
                f"The best self-ensemble, over {best[0]} by {best[1]}, reaches {value:.2f}; its members {float(d['single_accuracy'].sel(over=best[0])):.2f}, "
                f"one context with all demonstrations {float(d['long_accuracy']):.2f}."
            )
        shown = [c for c in self.judged() if c.verdict in ("holds", "does not hold")]
        return said + [
            f"{c.claim}: {c.verdict} ({c.measured:+.3f} [{c.low:.3f}, {c.high:.3f}] against {c.control})."
            for c in shown
        ]
