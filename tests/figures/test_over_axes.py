"""The figures of a sweep: what is drawn is what the table of its cells says."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from iclmech import figures


class Swept:
    """A sweep as figures see it."""

    def __init__(self, rows: list[dict[str, Any]], axes: list[str]):
        self.table, self.provenance = pd.DataFrame(rows), {"axes": dict.fromkeys(axes)}

    def summary(self) -> pd.DataFrame:
        return self.table


def rows(ks: tuple[int, ...] = (1, 4, 16), tasks: tuple[str, ...] = ("a", "b<i>")) -> list[dict[str, Any]]:
    return [
        {"k": k, "task": task, "measure": "accuracy", "name": name, "kind": "setting", "variant": variant, "mean": k / 20 + n,
         "low": k / 20 + n - 0.1, "high": k / 20 + n + 0.2}
        for k in ks for task in tasks for n, name in enumerate(("zs", "icl")) for variant in ("trained", "untrained")
    ]  # fmt: skip


def test_every_axis_with_more_than_one_value_has_a_figure():
    found = figures.over_axes(Swept(rows(), ["k", "task, data"]))  # type: ignore[arg-type]
    assert list(found) == ["accuracy_over_k", "accuracy_over_task"]
    assert list(figures.over_axes(Swept(rows(tasks=("a",)), ["k", "task"]))) == ["accuracy_over_k"]  # type: ignore[arg-type]
    assert figures.over_axes(Swept([], ["k"])) == {}  # type: ignore[arg-type]


def test_points_and_intervals_are_those_of_the_cells():
    figure = figures.over_axes(Swept(rows(), ["k", "task"]))["accuracy_over_k"]  # type: ignore[arg-type]
    lines = [trace for trace in figure.data if trace.x is not None and trace.x[0] is not None]
    assert len(lines) == 4  # two settings on two tasks; the trained model only
    icl = [trace for trace in lines if trace.name == figures.setting_name("icl")]
    assert list(icl[0].x) == [1, 4, 16]
    assert list(icl[0].y) == pytest.approx([1.05, 1.2, 1.8])
    assert list(icl[0].error_y.array) == pytest.approx([0.2] * 3)
    assert list(icl[0].error_y.arrayminus) == pytest.approx([0.1] * 3)
    assert figure.layout.xaxis.type == "log"
    assert "b&lt;i&gt;" in figure.to_json()
    assert "b<i>" not in figure.to_json()
