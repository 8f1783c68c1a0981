"""What choosing demonstrations was worth: against chance, and against the labels that were retrieved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base import Claim, Result
from iclmech._base._claims import sentence

from ._estimates import Lead, judge_leads

if TYPE_CHECKING:
    import pandas as pd


class SelectionComparison(Result):
    """Accuracy by what was annotated and what was retrieved, with the vote of the retrieved labels as control.

    Attributes:
        data: an `xarray.Dataset`; `m_ci` (…, bound) is the two-way interval of `m` over seeds and queries.
            *By (annotation, retrieval)*: accuracy; vote, the accuracy of the majority label of the same demonstrations, without
            a model; above_vote, above_random (retrieval), above_random_annotation: paired differences; prompt_tokens.
            *By (retrieval, k)*, random annotation: rung_accuracy, rung_tokens.
            *By (retrieval, threshold)*: adaptive_accuracy with adaptive_tokens (of the prompt that was answered) and
            spent_tokens (of all prompts that were tried); above_dealt: over the same numbers of demonstrations dealt to queries at
            random; above_fixed and above_spent: over fixed numbers at as many tokens of either count (a mixture of the
            two nearest rungs). NaN in above_spent where no rung is that long.
            `constant`: the best constant answer; `zero_shot`.
    """

    kind = "selection"

    def judged(self) -> list[Claim]:
        """Retrieval against chance, the model against the vote, annotation against chance, and the number by query."""
        d = self.data
        annotations = [str(a) for a in d["annotation"].values]
        retrievals = [str(r) for r in d["retrieval"].values]
        level = float(self.provenance.get("level", 0.95))
        families: list[list[Lead]] = [[], [], [], []]
        for a in annotations:
            for r in retrievals:
                at = {"annotation": a, "retrieval": r}
                if r != "random" and "random" in retrievals:
                    text = f"retrieval by {r} beats random demonstrations ({a} annotation)"
                    families[0].append(Lead(text, "above_random", at, "random retrieval"))
                if r == "knn":
                    text = f"the model behind {r} demonstrations beats the vote of their labels ({a} annotation)"
                    families[1].append(Lead(text, "above_vote", at, "vote of the same labels"))
                if a != "random" and "random" in annotations:
                    text = f"annotation by {a} beats random annotation ({r} retrieval)"
                    families[2].append(Lead(text, "above_random_annotation", at, "random annotation"))
        if "above_dealt" in d:
            threshold = float(self.provenance["request"]["threshold"])
            for r in retrievals:
                at = {"retrieval": r, "threshold": threshold}
                families[3] += [
                    Lead(f"a number of {r} demonstrations by query beats {text}", name, at, control)
                    for name, text, control in (
                        ("above_dealt", "the same numbers dealt at random", "the same numbers dealt at random"),
                        ("above_fixed", "one number at as many prompt tokens", "fixed number, same prompt tokens"),
                        ("above_spent", "one number at the tokens that the search took", "fixed number, tokens spent"),
                    )
                ]
        return [claim for family in families for claim in judge_leads(d, family, level)]

    def answer(self) -> list[str]:
        """Best and worst, the vote beside them, and what the number by query is worth."""
        d = self.data
        rows = [row for row in self.summary().to_dict("records") if row["measure"] == "accuracy"]
        worst, best = (f(rows, key=lambda row: row["mean"]) for f in (min, max))
        vote = float(d["vote"].sel(annotation=best["annotation"], retrieval=best["retrieval"]))
        said = [
            f"At k = {self.provenance['k']}, accuracy is highest with {best['retrieval']} retrieval from {best['annotation']} annotation, "
            f"{best['mean']:.2f} [{best['low']:.2f}, {best['high']:.2f}], and lowest with {worst['retrieval']} from {worst['annotation']}, "
            f"{worst['mean']:.2f} [{worst['low']:.2f}, {worst['high']:.2f}] (best constant answer {float(d['constant']):.2f}, zero-shot "
            f"{float(d['zero_shot']):.2f}).",
            f"The majority vote of the labels that the best one retrieves is right {vote:.2f} of the time, without any model.",
        ]
        claims = self.judged()
        said += [sentence(claim) for claim in claims if claim.verdict in ("holds", "does not hold")]
        open_ = sum(claim.verdict == "not shown" for claim in claims)
        return [*said, f"{open_} of {len(claims)} claims are not shown either way."]

    def tables(self) -> dict[str, pd.DataFrame]:
        """The numbers by method; by number of demonstrations; by threshold."""
        rows = self.summary()
        found = {}
        for title, first in (("By method", "annotation"), ("By number", "k"), ("By threshold", "threshold")):
            if first in rows.columns:
                part = rows[rows[first].notna()].dropna(axis=1, how="all")
                found[title] = part
        return found
