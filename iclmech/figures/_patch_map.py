"""The patch map: log-odds regained at every place, and under the controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from ._frame import finish, panels
from ._signed_map import BAR, draw_map, map_height, signed_colours
from ._text import plain
from ._theme import Theme

if TYPE_CHECKING:
    from iclmech.experiments import Patch

_UNIT = "log-odds regained (nats)"
_NAMES = {"icl": "ICL", "zs": "zero-shot", "corrupted": "permuted labels"}
_CONTROLS = {"random_state": "Control: random states as far away", "other_query": "Control: states of another query"}


def patch_map(result: Patch, *, site: str | None = None, role: str | None = None, theme: Theme = "light") -> go.Figure:
    """Layers down; across heads, or the roles where the site has no heads. One panel for the states, one for each control.

    Args:
        result: of `iclmech.patch`.
        site, role: which, where there are several; the first of each by default.
        theme: "light" or "dark".
    """
    data = result.data
    for name, wanted in (("site", site), ("role", role)):
        if name in data["regained"].dims and (name == "site" or "head" in data.dims):
            data = data.sel({name: wanted if wanted is not None else data[name].values[0]})
    across = "head" if "head" in data["regained"].dims else "role"
    if across not in data["regained"].dims:
        data = data.expand_dims(role=[str(data["role"].values)])
    source, into = (_NAMES.get(str(result.provenance.get(n)), "") for n in ("source", "into"))
    layers, columns = (data[axis].values.tolist() for axis in ("layer", across))
    titles = {"none": f"States of {source}, put into {into}", **_CONTROLS}
    controls = [str(c) for c in data["control"].values]
    figure = panels([titles.get(c, plain(c)) for c in controls], shared_x=False, heights=[map_height(len(layers))] * len(controls), spacing=76)  # fmt: skip
    for row, control in enumerate(controls, start=1):
        at = data.sel(control=control)
        values = at["regained"].transpose("layer", across).values
        draw_map(
            figure, values, row, layers=layers, columns=columns, notes=_notes(at, across), unit=_UNIT, across=across
        )
    signed_colours(figure, data["regained"].values, _UNIT)
    where = f"{plain(str(data['site'].values))} at {plain(str(data['role'].values))}" if across == "head" else plain(str(data["site"].values))  # fmt: skip
    task = plain(str(result.provenance.get("task", {}).get("name", "")))
    return finish(
        figure,
        title="How much of the answer single places bring back",
        about=f"{task}: {where}, {result.data.sizes['query']} queries; the whole way is {result.way:.2f} nats.",
        theme=theme,
        legend_rows=0,
        extra=BAR,
    )


def _notes(at: xr.Dataset, across: str) -> np.ndarray:
    """Interval and share of every cell."""
    ends = at["regained_ci"].transpose("layer", across, "bound").values
    share = at["share"].transpose("layer", across).values
    texts = [f"[{ends[i][0]:+.3f}, {ends[i][1]:+.3f}], {share[i]:.0%} of the way" for i in np.ndindex(share.shape)]
    return np.array(texts).reshape(share.shape)
