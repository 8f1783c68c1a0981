"""The result of `compare`: labelled arrays, with where they come from, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from iclmech._base import from_ascii_json

from ._file import read_groups, write_groups
from ._html import comparison_html
from ._summary import summary_table

if TYPE_CHECKING:
    import pandas as pd


class Comparison:
    """What in-context learning does beside what weight updates do, with controls, as `xarray` data.

    Attributes:
        means: the dataset without a query axis. Its variables, for every measure `m` (sim_aou, sim_am, null_closed_form,
            rec2ftp, change_agreement, label_js, and the user's own):
            `m` (comparison, variant, seed, lr, ...) mean over queries, with `m_ci` (..., bound) over queries and
            `m_n_masked`, the queries without a value; `m_pooled`, `m_pooled_ci` (comparison, variant, lr, ...) over seeds
            and queries (clustered bootstrap); `m_overall`, `m_overall_ci`, `m_overall_by_seed` over layers and heads too;
            `m_contrast`, `m_contrast_ci`, `m_contrast_by_seed` (contrast, lr, ...) paired differences of the last.
            For every measure of one setting (accuracy, label_nll) the same with (setting, variant, seed, lr).
            relative_norm (comparison, variant, seed, lr): |ΔW| / |W|. With lr="auto", the curve that the rate was chosen
            on: rate_label_nll, rate_accuracy, rate_relative_norm (update, rate), rate_sim_aou (update, rate, layer).
            Coordinates: lr_value (update, lr), the learning rates. NaN: not run, or masked everywhere.
        queries: with `keep_queries=True`, each measure with a query axis; else an empty dataset.
        examples: a few prompts with the attention they get in three settings; see `example_tokens`.
        data: `means`, where a measure that was kept by query has its query axis.
    """

    def __init__(
        self, means: xr.Dataset, queries: xr.Dataset | None = None, examples: xr.Dataset | None = None
    ) -> None:
        self.means = means
        self.queries = xr.Dataset() if queries is None else queries
        self.examples = xr.Dataset() if examples is None else examples

    @cached_property
    def data(self) -> xr.Dataset:
        """All numbers in one dataset; see the class."""
        return self.means.merge(self.queries, overwrite_vars=list(self.queries.data_vars), combine_attrs="override")

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, model, task, settings, seeds, notes and deviations: where the numbers come from."""
        return from_ascii_json(self.means.attrs["provenance"])

    @property
    def notes(self) -> list[str]:
        """What happened on the way that a reader should know."""
        return list(self.provenance.get("notes", []))

    @property
    def measures(self) -> list[str]:
        """Names of the measures that compare an update with ICL; the user's own come last."""
        return [
            str(n) for n in self.means.data_vars if f"{n}_pooled" in self.means and "comparison" in self.means[n].dims
        ]

    def summary(self, measures: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per number: settings, comparisons and paired contrasts, averaged over layers and heads.

        Columns: `measure`, `kind` ("setting", "comparison" or "contrast"), `name`, `variant`, `lr` (position on the grid),
        `lr_value`, `mean`, `low`, `high` (clustered bootstrap over seeds and queries), `seed_sd`, `seed_low`, `seed_high`
        (Student's t over seeds: rest claims on these), `n_seeds`, `masked` (share of entries without a value).

        Args: `measures`: those to list; all by default.
        """
        return summary_table(self.means, measures)

    def example_tokens(self, example: int) -> tuple[list[str], list[str]]:
        """Tokens and roles ("bos", "template", "text", "forerunner", "label", "separator") of an example's ICL prompt.

        They label the axis `token` of `examples.pattern`, attention from the recorded position, as far as they go.
        """
        meta = from_ascii_json(str(self.examples["meta"].values[example]))
        return meta["tokens"], meta["roles"]

    def save(self, path: str | Path) -> Path:
        """Write one netCDF file with the groups summary, queries and examples. An existing file is replaced whole."""
        return write_groups(path, {"summary": self.means, "queries": self.queries, "examples": self.examples})

    @classmethod
    def load(cls, path: str | Path) -> Comparison:
        """Read what `save` wrote. Raises `FileError` for another file, a damaged one, or a newer schema."""
        groups = read_groups(path)
        return cls(groups["summary"], groups["queries"], groups["examples"])

    def __repr__(self) -> str:
        p, sizes = self.provenance, self.means.sizes
        model, task = p.get("model", {}).get("name"), p.get("task", {}).get("name")
        return (
            f"Comparison({model!r} on {task!r}, k={p.get('k')}, {p.get('n_queries')} queries, {sizes.get('seed', 0)} seeds, "
            f"{sizes.get('comparison', 0)} comparisons × {sizes.get('variant', 0)} variants × {sizes.get('lr', 0)} rates)"
        )

    def _repr_html_(self) -> str:
        return comparison_html(repr(self), self.summary(), self.notes)


def text_array(values: Sequence[str]) -> np.ndarray:
    """Strings as an array that comes back the same from a file."""
    return np.array([str(v) for v in values], dtype=object)
