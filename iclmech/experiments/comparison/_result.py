"""The result of `compare`: labelled arrays, with where they come from, in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import xarray as xr

from iclmech._base import Claim, Result, from_ascii_json

from ._answer import answer
from ._brief import brief
from ._claims import claims_of
from ._request import request_of_plan
from ._roster import Roster
from ._summary import summary_table

if TYPE_CHECKING:
    import pandas as pd


class Comparison(Result):
    """What in-context learning does beside what weight updates do, with controls, as `xarray` data.

    Attributes:
        means: the dataset without a query axis. Its variables, for every measure `m` (sim_aou, sim_am, null_closed_form,
            rec2ftp, change_agreement, label_js, and the user's own):
            `m` (comparison, variant, seed, lr, ...) mean over queries, with `m_ci` (..., bound), Student's interval for
            other queries, and `m_n_masked`, the queries without a value; `m_pooled`, `m_pooled_ci` (comparison, variant,
            lr, ...) over seeds and queries with the two-way interval; `m_overall`, `m_overall_ci`, `m_overall_by_seed`,
            `m_overall_claims` (whether a verdict may rest on it), `m_overall_kept` (layers and heads in its interval) over
            layers and heads too; `m_contrast` and the same, with `m_contrast_p` against zero, (contrast, lr, ...): paired
            differences of the last, over what is valid on both sides where the masks differ.
            For every measure of one setting (accuracy, label_nll, …) the same with (setting, variant, seed, lr).
            gain, gain_ci, gain_p, gain_claims, gain_by_seed (setting, baseline, lr): accuracy of the trained model beyond
            zero-shot ("zs") and beyond the best constant answer ("constant"), paired by query; chance (seed): the accuracy
            of that answer. interval: "crossed" where all seeds have the same queries, else "nested".
            relative_norm (comparison, variant, seed, lr): |ΔW| / |W|. With lr="auto", the curve that the rate was chosen
            on: rate_label_nll, rate_accuracy, rate_relative_norm (update, rate), rate_sim_aou (update, rate, layer).
            Coordinates: lr_value (update, lr), the learning rates. NaN: not run, or masked everywhere.
        queries: with `keep_queries=True`, each measure with a query axis; else an empty dataset.
        examples: a few prompts with the attention they get in three settings; see `example_tokens`.
        data: `means`, where a measure that was kept by query has its query axis.
    """

    kind = "compare"
    group_names = ("summary", "queries", "examples")
    needed: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "comparison": ("comparison",),
        "variant": ("variant",),
        "setting": ("setting",),
        "seed": ("seed",),
        "lr": ("lr",),
        "lr_value": ("update", "lr"),
        "accuracy": ("setting", "variant", "seed", "lr"),
    }

    def __init__(
        self, means: xr.Dataset, queries: xr.Dataset | None = None, examples: xr.Dataset | None = None
    ) -> None:
        parts = (means, xr.Dataset() if queries is None else queries, xr.Dataset() if examples is None else examples)
        super().__init__(dict(zip(self.group_names, parts, strict=True)))

    @classmethod
    def opened(cls, groups: dict[str, xr.Dataset], kind: str) -> Comparison:
        """A comparison from the groups of a file."""
        result = cls(*(groups.get(name) for name in cls.group_names))  # type: ignore[arg-type]  # the first is always there
        if "plan" in result.provenance and "request" not in result.provenance:
            result = result.with_provenance(request=request_of_plan(result.provenance))
        return result

    @property
    def means(self) -> xr.Dataset:
        """The dataset without a query axis."""
        return self.groups["summary"]

    @property
    def queries(self) -> xr.Dataset:
        """Each measure with a query axis, where it was kept."""
        return self.groups["queries"]

    @property
    def examples(self) -> xr.Dataset:
        """A few prompts with their attention."""
        return self.groups["examples"]

    @cached_property
    def data(self) -> xr.Dataset:
        """All numbers in one dataset; see the class."""
        return self.means.merge(self.queries, overwrite_vars=list(self.queries.data_vars), combine_attrs="override")

    @cached_property
    def roster(self) -> Roster:
        """The comparisons, settings and contrasts in it as records."""
        return Roster.of_data(self.means)

    @property
    def measures(self) -> list[str]:
        """Names of the measures that compare an update with ICL; the user's own come last."""
        return [
            str(n) for n in self.means.data_vars if f"{n}_pooled" in self.means and "comparison" in self.means[n].dims
        ]

    def summary(self, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per number: settings, comparisons and paired contrasts, averaged over layers and heads.

        Args:
            measures: those to list; all by default.

        Returns:
            Columns: `measure`, `kind` ("setting", "comparison" or "contrast"), `name`, `variant`, `lr` (position on the grid),
            `lr_value`, `mean`, `low`, `high` (the interval that the column `interval` names: rest claims on it), `seed_sd`,
            `seed_low`, `seed_high` (Student's t over seeds alone: what other queries would give is not in it), `n_seeds`,
            `masked` (share of entries without a value), `p` (of contrasts, against zero, uncorrected), `claims` (whether a
            verdict may rest on it: at least three seeds), `interval`, `note` (what there is to know of the row).
            Contrasts of `accuracy` are those of every setting with zero-shot and with the best constant answer.

        Raises:
            ICLMechError: a measure that is not there.
        """
        return summary_table(self.means, measures)

    def brief(self) -> pd.DataFrame:
        """Accuracy of every setting, and each update beside the controls that it is not shown to beat: twelve rows."""
        return brief(self)

    def judged(self) -> list[Claim]:
        """ "learns in context", what each update taught, each update against each of its controls and against all of them."""
        return self._judged

    @cached_property
    def _judged(self) -> list[Claim]:
        return claims_of(self)

    def answer(self) -> list[str]:
        """What the context does, what the updates teach, how alike they are beside their controls, what follows, how sure that is."""
        return answer(self)

    def example_tokens(self, example: int) -> tuple[list[str], list[str]]:
        """Tokens and roles ("bos", "template", "text", "forerunner", "label", "separator") of an example's ICL prompt.

        They label the axis `token` of `examples.pattern`, attention from the recorded position, as far as they go.
        """
        meta: Any = from_ascii_json(str(self.examples["meta"].values[example]))
        return meta["tokens"], meta["roles"]

    def __repr__(self) -> str:
        p, sizes = self.provenance, self.means.sizes
        model, task = p.get("model", {}).get("name"), p.get("task", {}).get("name")
        return (
            f"Comparison({model!r} on {task!r}, k={p.get('k')}, {p.get('n_queries')} queries, {sizes.get('seed', 0)} seeds, "
            f"{sizes.get('comparison', 0)} comparisons × {sizes.get('variant', 0)} variants × {sizes.get('lr', 0)} rates)"
        )
