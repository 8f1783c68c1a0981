"""The result of any experiment: labelled arrays, where they come from, and what they say.

One class writes and reads every kind of result. What a kind can show is found through the registry of experiments by its
name, when it is asked for, so that nothing here imports from the floors above:

    result.kind ──► experiment of that name ──► its class, its figures, its page
"""

from __future__ import annotations

import functools
import operator
import textwrap
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ._brief import MOST_ROWS, WIDTH, condensed, readable, text_table
from ._claims import Claim, claims_table, sentence
from ._errors import FileError
from ._files import from_ascii_json, to_ascii_json
from ._html import html_table, visible
from ._registry import REGISTRIES, resolve
from ._result_file import file_of, read_groups, write_groups
from ._tensor_file import demand, understanding

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    import xarray as xr

    Groups = dict[str, xr.Dataset]
else:
    Self = Any  # run-time shape checks know no Self


class Result:
    """Labelled arrays with provenance. Subclasses say what the arrays mean; this class is enough for a new kind.

    Args:
        data: an `xarray.Dataset`, or several by the name of their group in the file, the first with the provenance.
        kind: name of the experiment; a subclass has its own.
        provenance: where the numbers come from; left out, what `data.attrs` holds.

    Attributes:
        kind: name of the experiment.
        groups: the datasets by name; one without a name where there is only one.

    Example:
        >>> import xarray as xr
        >>> result = Result(xr.Dataset({"accuracy": ("k", [0.5, 0.9])}), kind="curve", provenance={"model": {"name": "m"}})
        >>> result.kind, result.provenance["model"]["name"]
        ('curve', 'm')
    """

    kind: str = ""
    source: Path | None = None
    """The file that it was loaded from."""
    schema: ClassVar[int] = 1
    """Version of the layout. Add one, and a migration, when the meaning or the name of a variable changes."""
    migrations: ClassVar[Mapping[int, Callable[[Groups], Groups]]] = {}
    """Schema version → function that turns the groups of that version into those of the next one."""
    group_names: ClassVar[tuple[str, ...]] = ("",)
    """Groups in a file, the first with the provenance; "" is the root."""

    def __init__(
        self,
        data: xr.Dataset | Mapping[str, xr.Dataset],
        *,
        kind: str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ):
        self.groups: Groups = dict(data) if isinstance(data, dict) else {self.group_names[0]: data}  # type: ignore[dict-item]
        self.kind = kind or self.kind
        if provenance is not None:
            self._first.attrs["provenance"] = to_ascii_json(provenance)

    def __init_subclass__(cls, **more: Any) -> None:
        """Every kind's summary prints itself within 80 columns."""
        super().__init_subclass__(**more)
        if "summary" in vars(cls):
            cls.summary = _printable(cls.summary)

    @property
    def _first(self) -> xr.Dataset:
        return next(iter(self.groups.values()))

    @property
    def data(self) -> xr.Dataset:
        """All numbers in one dataset."""
        return self._first

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, model, task, request, seeds, notes: where the numbers come from."""
        return from_ascii_json(str(self._first.attrs.get("provenance", "{}")))

    def with_provenance(self, **more: Any) -> Self:
        """This result with more said about where it comes from."""
        self._first.attrs["provenance"] = to_ascii_json({**self.provenance, **more})
        self.__dict__.pop("provenance", None)
        return self

    @property
    def notes(self) -> list[str]:
        """What happened on the way that a reader should know."""
        return list(self.provenance.get("notes", []))

    # -- what it says ---------------------------------------------------------------------------------------------

    def summary(self) -> pd.DataFrame:
        """One row per number that has an interval. Columns: `measure`, the axes, `mean`, `low`, `high`.

        It is a `pandas.DataFrame`; printed, it keeps to 80 columns.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name in (str(n) for n in self.data.data_vars if f"{n}_ci" in self.data):
            table: Any = self.data[[name, f"{name}_ci"]].to_dataframe().reset_index()
            for row in table[table["bound"] == "low"].to_dict("records"):
                rest = {k: v for k, v in row.items() if k not in (name, f"{name}_ci", "bound")}
                high = self.data[f"{name}_ci"].sel({k: v for k, v in rest.items() if k in self.data[name].dims})
                numbers = {"mean": row[name], "low": row[f"{name}_ci"], "high": float(high.sel(bound="high"))}
                rows.append({"measure": name, **rest, **numbers})
        return readable(pd.DataFrame(rows))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Title → table, the most telling first: what a page shows below the figures."""
        return {"Summary": self.summary()}

    def brief(self) -> pd.DataFrame:
        """The most telling table in at most 12 rows and 5 columns, as texts: what stands below the answer everywhere."""
        return condensed(next(iter(self.tables().values()))).head(MOST_ROWS)

    def judged(self) -> list[Claim]:
        """The claims as records, in reading order; subclasses fill this in."""
        return []

    def claims(self) -> pd.DataFrame:
        """One row per claim: `claim`, `measured`, `low`, `high`, `control`, `rule`, `verdict`.

        Verdicts: "holds", "does not hold", "not shown" (the numbers do not decide), "not applicable".
        """
        return claims_table(self.judged())

    def answer(self) -> list[str]:
        """The answer in sentences, made from the claims."""
        if self.missing:
            return [self.missing]
        return [sentence(claim) for claim in self.judged()]

    def figures(self) -> dict[str, go.Figure]:
        """Name → figure, in reading order; empty where this kind has none."""
        target = getattr(self.experiment, "figures", "")
        return dict(resolve(target)(self)) if target else {}

    @property
    def experiment(self) -> Any:
        """The registered experiment that makes results of this kind, or None where no such plug-in is here."""
        return REGISTRIES["experiment"].get(self.kind)

    @property
    def missing(self) -> str:
        """What is missing to judge and draw this result; empty where all is there."""
        if self.experiment is not None:
            return ""
        return (
            f"No experiment called {self.kind!r} is registered here: the numbers are in .data and .summary(), but what they "
            "say and how they are drawn is known to the package that made them. Install it, or name its module in ICLMECH_PLUGINS."
        )

    # -- files ----------------------------------------------------------------------------------------------------

    @property
    def stored_as(self) -> str:
        """What a file of this kind calls itself."""
        return str(getattr(self.experiment, "stored_as", "")) or f"iclmech {self.kind}"

    def save(self, path: str | Path) -> Path:
        """Write one netCDF file, whole or not at all. An existing file is replaced."""
        return write_groups(path, self.groups, self.stored_as, self.schema)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FileError: no such file, a damaged one, another kind of result, or a newer schema.
        """
        return load_result(path, cls)  # type: ignore[return-value]  # of this class, or an error

    needed: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Variables and coordinates without which nothing can be said or drawn, with the axes that each must have."""

    def check(self) -> None:
        """Raise `ValueError` unless the first group holds what is `needed`."""
        for name, axes in self.needed.items():
            demand(name in self._first.variables, f"it has no {name}")
            found = tuple(str(axis) for axis in self._first[name].dims)
            demand(set(axes) <= set(found), f"{name} has the axes {', '.join(found) or 'none'}, not {', '.join(axes)}")

    @classmethod
    def opened(cls, groups: Groups, kind: str) -> Self:
        """A result from the groups of a file."""
        return cls(groups, kind=kind)

    # -- showing it -----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {n}" for name, n in self.data.sizes.items())
        return f"{type(self).__name__}({self.kind!r}: {sizes})"

    def __str__(self) -> str:
        """The answer, one table, and where the rest is: what `print` and the command line show."""
        paragraphs = [textwrap.fill(visible(sentence), WIDTH) for sentence in self.answer() or [self._asked()]]
        table = self.brief()
        if len(table):
            paragraphs.append(text_table(list(table.columns), table.values.tolist()))
        return "\n\n".join([*paragraphs, textwrap.fill(self._rest(), WIDTH)])

    def _asked(self) -> str:
        """In the place of sentences, where a kind makes no claims."""
        return getattr(self.experiment, "title", "") or f"A result of kind {self.kind!r}."

    def _rest(self) -> str:
        notes = f"{len(self.notes)} note{'s' * (len(self.notes) > 1)} in .notes; " if self.notes else ""
        return f"All numbers: .summary(); what is claimed, by which rule: .claims(); {notes}.figures() draws, icl.write_report() makes a page."

    def _repr_html_(self) -> str:
        table = self.brief()
        rows = table.values.tolist()
        return html_table(
            list(table.columns),
            rows,
            title=repr(self),
            lead=self.answer() or [self._asked()],
            notes=[*self.notes, self._rest()],
        )


def _printable(summary: Any) -> Any:
    @functools.wraps(summary)
    def readable_summary(*arguments: Any, **options: Any) -> pd.DataFrame:
        return readable(summary(*arguments, **options))

    return readable_summary


def load_result(path: str | Path, wanted: type[Result] = Result) -> Result:
    """Open any saved result, by the kind that the file names; with `wanted`, of that class only.

    Args:
        path: a file, or a directory that holds result.nc (or one single .nc file), or a registered kind of directory.

    Raises:
        FileError: no such file, a damaged or foreign one, another class than `wanted`, or a newer schema.
    """
    what = "a saved result" if wanted is Result else f"a saved {wanted.__name__}"
    for marker in REGISTRIES["directory"] if wanted is Result else ():
        if (Path(path) / marker).is_file():
            return REGISTRIES["directory"][marker](path)
    groups = read_groups(path, what)
    attributes = next(iter(groups.values())).attrs
    with understanding(path, what):
        stored = str(attributes.pop("kind"))
        kind, found = _class_of(stored)
        if not issubclass(found, wanted):
            raise FileError(f"{path} holds {stored[:60]!r}; expected {what}. icl.load opens any kind.")
        schema = operator.index(attributes.pop("schema", 0))
        if schema > found.schema:
            raise FileError(
                f"{path} has schema {schema} of {stored!r}; this version of iclmech reads up to {found.schema}. Update iclmech."
            )
        demand(schema >= 0, "its schema is no whole number from 0")
        for version in range(schema, found.schema):
            groups = found.migrations[version](groups)
        result = found.opened(groups, kind)
        demand(isinstance(result.provenance, dict), "its provenance is no mapping")
        result.check()
    result.source = file_of(path)
    return result


def _class_of(stored: str) -> tuple[str, type[Result]]:
    """(kind, class) behind what a file calls itself; a plain `Result` where no such experiment is registered."""
    experiments: Any = REGISTRIES["experiment"]
    for name in experiments:
        experiment = experiments[name]
        if stored == (experiment.stored_as or f"iclmech {name}"):
            return name, resolve(experiment.result)
    return stored.removeprefix("iclmech "), Result
