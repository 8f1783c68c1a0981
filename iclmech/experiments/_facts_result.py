"""What facts in the prompt, and the same facts as updates, teach a model to answer."""

from __future__ import annotations

from iclmech._base import Claim, Result

from ._estimates import Lead, judge_leads


class FactsComparison(Result):
    """Accuracy of questions about facts, in context and after updates.

    Attributes:
        data: an `xarray.Dataset` by (way, hops, things); ways are zs, icl and ft:<update>. `m_ci` (…, bound) is Student's interval over
            sets of facts. accuracy: share of right places among four; gold_nll: nats, of the distribution over the places; below_icl:
            how much less often it is right than ICL, paired; above_others: to the same way with the facts of another set (nothing to learn but
            the form), NaN for zs. rate (way, hops, things): the learning rate, chosen on other sets.
    """

    kind = "facts"

    def judged(self) -> list[Claim]:
        """Facts teach more than other facts do; facts in context teach more than facts as an update."""
        d = self.data
        level = float(self.provenance["request"]["level"])
        cells = [{"hops": int(h), "things": int(t)} for h in d["hops"].values for t in d["things"].values]
        ways = [str(w) for w in d["way"].values if str(w) != "zs"]
        learnt, against = [], []
        for at in cells:
            where = f"{at['hops']} hop{'s' * (at['hops'] > 1)}, {at['things'] - 1} distracting thing{'s' * (at['things'] != 2)}"
            for way in ways:
                learnt.append(
                    Lead(
                        f"{_named(way)} teaches its facts ({where})",
                        "above_others",
                        {"way": way, **at},
                        "facts of another set",
                    )
                )
                if way != "icl":
                    text = f"facts in context are answered better than by {_named(way)} ({where})"
                    against.append(Lead(text, "below_icl", {"way": way, **at}, _named(way)))
        return [claim for family in (learnt, against) for claim in judge_leads(d, family, level)]

    def answer(self) -> list[str]:
        """Accuracy of every way for each number of hops and things, and what is shown."""
        d = self.data
        said = []
        for h in d["hops"].values:
            for t in d["things"].values:
                parts = [
                    f"{_named(str(w))} {float(d['accuracy'].sel(way=w, hops=h, things=t)):.2f}" for w in d["way"].values
                ]
                said.append(f"{h} hop(s), {t} thing(s): " + ", ".join(parts) + " (chance .25).")
        shown = [c for c in self.judged() if c.verdict in ("holds", "does not hold")]
        return said + [
            f"{c.claim}: {c.verdict} ({c.measured:+.2f} [{c.low:.2f}, {c.high:.2f}] against {c.control})."
            for c in shown
        ]


def _named(way: str) -> str:
    return {"zs": "zero-shot", "icl": "the context"}.get(way, way.removeprefix("ft:").upper())
