"""The result of `steer`, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from iclmech._base import Claim, Result
from iclmech.analysis.statistics import all_of, holm

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.15
"""A lead in accuracy whose interval lies within ± this is no lead: the control does as much."""
_CONTROLS = {
    "random": "a random vector of its length",
    "random_heads": "that of other heads of the same layers",
    "wrong_task": "that of another task",
    "shuffled_labels": "that of permuted labels",
}


class Steering(Result):
    """What a vector in the place of the context did.

    `data`:
        accuracy, log_prob (setting, control, seed, layer, strength) with *_ci (setting, control, layer, strength, bound): share of
            right answers (free text: the first token is the likeliest of all), and the answer's mean log-probability per
            token (nats). setting: zs, icl, vector. control: none, the thing itself; random, wrong_task, shuffled_labels, own;
            of a function vector random_heads.
            Of a vector all layers are run at its usual strength and all strengths at the chosen layer; NaN elsewhere. Layer −1
            stands for all layers together. "icl" has its own controls: behind another task's demonstrations, and permuted labels.
        accuracy_chosen, log_prob_chosen (setting, control) with *_ci: each seed at its own chosen layer and strength.
        n_answers (…): how many different answers were given; 1 is a constant one.
        chosen_layer, chosen_strength (seed), and what they were chosen on: held_out_accuracy, held_out_log_prob.
        relative_norm (seed, layer): ‖vector‖ against the mean ‖state‖ in context.
        lead (contrast) with lead_ci, lead_p, lead_claims: paired differences in accuracy at the choice.
    Intervals are two-way, over seeds and queries.
    """

    kind = "steer"

    @property
    def title(self) -> str:
        """What was put in: "task vector"."""
        return str(self.provenance.get("title", "vector"))

    @property
    def _controls(self) -> list[str]:
        """Those that a vector must beat, as far as they were run."""
        return [c for c in _CONTROLS if f"vector - {c}" in self.data["contrast"].values]

    def summary(self) -> pd.DataFrame:
        """At the chosen layer: one row for each setting and control. Columns: `measure`, `setting`, `control`, `mean`, `low`, `high`."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for measure in ("accuracy", "log_prob"):
            table = self.data[f"{measure}_chosen"]
            for setting in map(str, table["setting"].values):
                for control in map(str, table["control"].values):
                    at = {"setting": setting, "control": control}
                    mean, (low, high) = float(table.sel(at)), self.data[f"{measure}_chosen_ci"].sel(at).values
                    if np.isfinite(mean):
                        rows.append({"measure": measure, **at, "mean": mean, "low": float(low), "high": float(high)})
        return pd.DataFrame(rows)

    def layers(self) -> pd.DataFrame:
        """Accuracy in every layer at the usual strength: one row per layer, one column per control."""
        usual = float(self.provenance["usual_strength"])
        table = self.data["accuracy"].sel(setting="vector", strength=usual).mean("seed").to_pandas().T
        return table.rename_axis(columns=None).reset_index()

    def tables(self) -> dict[str, pd.DataFrame]:
        """The choice, and all layers."""
        return {"At the chosen layer": self.summary(), "Accuracy by layer": self.layers()}

    def _lead(self, contrast: str) -> tuple[float, float, float, float]:
        """(mean, low, high, p); p is NaN where no verdict may rest on it."""
        at = self.data.sel(contrast=contrast)
        low, high = (float(v) for v in at["lead_ci"].values)
        p = float(at["lead_p"]) if bool(at["lead_claims"]) else float("nan")
        return float(at["lead"]), low, high, p

    def judged(self) -> list[Claim]:
        """Whether the model learns in context, whether the vector stands in for it, and whether the query's own state does."""
        names = ["icl - zs", *(f"vector - {control}" for control in self._controls)]
        leads = {name: self._lead(name) for name in names}
        adjusted = dict(zip(names, holm([lead[3] for lead in leads.values()]), strict=True))
        rule = "paired difference in accuracy at the chosen layer, two-way over seeds and queries; p < .05 after Holm's correction"
        found = []
        for name in names:
            mean, low, high, _ = leads[name]
            control = name.partition(" - ")[2]
            what = (
                "the model learns in context"
                if name == "icl - zs"
                else f"the {self.title} does more than {_CONTROLS[control]}"
            )
            verdict: Any = "not shown" if not adjusted[name] < 0.05 else "holds" if mean > 0 else "does not hold"
            if verdict == "not shown" and low > -MARGIN and high < MARGIN:
                verdict = "does not hold"
            own_rule = f"{rule}; does not hold within ± {MARGIN:g}" if control in _CONTROLS else rule
            against = "zero-shot" if control == "zs" else control
            about = {"p": leads[name][3], "p_adjusted": float(adjusted[name]), "contrast": name}
            found.append(Claim(what, mean, low, high, against, own_rule, verdict, about))
        return [*found, self._stands_in(leads), self._own()]

    def _stands_in(self, leads: dict[str, tuple[float, float, float, float]]) -> Claim:
        """One verdict over all controls: the least lead counts."""
        controls = [f"vector - {c}" for c in self._controls]
        least = min(controls, key=lambda name: leads[name][0])
        mean, low, high, _ = leads[least]
        p = all_of([leads[name][3] for name in controls])
        within = any(leads[name][1] > -MARGIN and leads[name][2] < MARGIN for name in controls)
        verdict: Any = "holds" if p < 0.05 and mean > 0 else "does not hold" if within or high < 0 else "not shown"
        rule = f"more right answers than each of the controls, p < .05 for all; does not hold where one control is within ± {MARGIN:g}"
        what = f"a {self.title} stands in for the context"
        return Claim(what, mean, low, high, least.partition(" - ")[2], rule, verdict, {"p": p})

    def _own(self) -> Claim:
        mean, low, high, _ = self._lead("icl - own")
        rule = f"accuracy in context minus that with the query's own state grafted at the chosen layer: interval within ± {MARGIN:g}"
        within = (low > -MARGIN and high < MARGIN) or (np.isnan(low) and mean == 0)
        verdict: Any = "holds" if within else "does not hold" if low > MARGIN else "not shown"
        return Claim("the query's own state at that layer carries the answer", mean, low, high, "own", rule, verdict)

    def own_layer(self) -> int | None:
        """The first layer from which on each query's own state gives the accuracy of the context, less .05; None if there is none."""
        usual = float(self.provenance["usual_strength"])
        own = self.data["accuracy"].sel(setting="vector", control="own", strength=usual).mean("seed").values
        enough = own >= float(self.data["accuracy_chosen"].sel(setting="icl", control="none")) - 0.05
        layers = [int(n) for n in self.data["layer"].values]
        good = [n for i, n in enumerate(layers) if enough[i:].all()]
        return good[0] if good else None

    def answer(self) -> list[str]:
        """What the vector regains, beside its controls, the context and the ceiling."""
        chosen = self.data["accuracy_chosen"]

        def share(setting: str, control: str = "none") -> str:
            at = {"setting": setting, "control": control}
            low, high = (100 * float(v) for v in self.data["accuracy_chosen_ci"].sel(at).values)
            brackets = f" [{low:.0f}, {high:.0f}]" if np.isfinite(low) else ""
            return f"{100 * float(chosen.sel(at)):.0f}\u00a0%{brackets}"

        layers = sorted({int(n) for n in self.data["chosen_layer"].values})
        where = "in all layers" if layers == [-1] else f"at layer {', '.join(map(str, layers))}"
        verdicts = {c.claim: c.verdict for c in self.judged()}
        stands = verdicts[f"a {self.title} stands in for the context"]
        words = {"holds": "stands in for the context", "does not hold": "does not stand in for the context"}
        others = [f"{_CONTROLS[c]} {share('vector', c)}" for c in self._controls]
        said = [
            f"The {self.title} {words.get(stands, 'is not shown to stand in for the context')}: {where} (chosen on held-out queries) "
            f"it answers {share('vector')} rightly; zero-shot {share('zs')}, in context {share('icl')}.",
            f"In its place: {', '.join(others)} (brackets: 95\u00a0% two-way intervals over seeds and queries).",
        ]
        layer = self.own_layer()
        if layer == -1:
            said.append(f"Each query's own states in context, in all layers, give {share('vector', 'own')}.")
        elif layer is not None:
            said.append(f"Each query's own state in context is enough from layer {layer} on.")
        return said

    def __repr__(self) -> str:
        chosen = self.data["accuracy_chosen"]
        shown = {f"{s}": float(chosen.sel(setting=s, control="none")) for s in ("zs", "icl", "vector")}
        return f"Steering({self.title}, accuracy: {', '.join(f'{n} {v:.2f}' for n, v in shown.items())})"
