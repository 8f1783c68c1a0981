"""Tables that fit 80 columns: what a terminal, `print` and a notebook show below the answer."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._html import visible

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80
"""Columns of a terminal that nobody has widened."""
MOST_ROWS, MOST_COLUMNS = 12, 5
_MEANS = ("mean", "measured")
_LEAST = 14  # characters that a column of words keeps when others need the room
_LONGEST = 60  # characters of a cell: what is longer is prose, and stands in the whole table
_BESIDES = (
    "seed_sd",
    "seed_low",
    "seed_high",
    "n_seeds",
    "masked",
    "p",
    "claims",
    "note",
    "rule",
    "reason",
    "lr",
    "interval",
)
"""Columns that are left to the whole table."""


def number(value: Any) -> str:
    """A cell as text: three decimals, a true minus, a dash for what is not there.

    >>> number(-0.25), number(float("nan")), number(7), number(1e-5)
    ('−0.250', '–', '7', '1e-05')
    """
    if not isinstance(value, float):  # NumPy's float64 is one
        return visible(value)
    if value != value:
        return "–"
    text = f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
    return text if "e" in text else text.replace("-", "−")


def interval(low: Any, high: Any) -> str:
    """Two ends in brackets; a dash where there are none."""
    return "–" if low != low or high != high else f"[{number(float(low))}, {number(float(high))}]"


def condensed(frame: pd.DataFrame, most: int = MOST_COLUMNS) -> pd.DataFrame:
    """At most `most` columns, as texts: the ends of an interval in one, what is the same in all rows left out."""
    import pandas as pd

    columns = {str(name): frame[name] for name in frame.columns}
    ends = {"low", "high"} <= set(columns)
    known = {
        name: v
        for name, v in columns.items()
        if name not in ("low", "high", *_BESIDES) and not bool(v.isna().to_numpy().all())
    }
    differ = {name: v for name, v in known.items() if name in (*_MEANS, "measure") or len({str(one) for one in v}) > 1}
    texts: dict[str, list[str]] = {}
    for name, values in (differ if len(frame) > 1 and len(differ) > 1 else known).items():
        texts[name] = _cells(values)
        if ends and (name in _MEANS or (not set(_MEANS) & set(columns) and _before_low(list(columns), name))):
            texts["interval"] = [interval(a, b) for a, b in zip(columns["low"], columns["high"], strict=True)]
    short = {
        name: cells for name, cells in texts.items() if name == "claim" or max(map(len, cells), default=0) <= _LONGEST
    }
    texts = short if len(short) > 1 else texts
    kept = _most_telling(list(texts), most)
    return pd.DataFrame({name: texts[name] for name in kept}, index=range(len(frame)))


def _cells(values: Any) -> list[str]:
    """Whole numbers as such, in a column that holds no others: pandas makes floats of them where some are missing."""
    whole = all(not isinstance(v, float) or v != v or (v.is_integer() and abs(v) < 1e6) for v in values)
    return [number(int(v) if whole and isinstance(v, float) and v == v else v) for v in values]


def _before_low(names: Sequence[str], name: str) -> bool:
    return names.index("low") == names.index(name) + 1


def _most_telling(names: list[str], most: int) -> list[str]:
    """So many names: numbers with their interval and the verdict first, then from the left."""
    first = [n for n in names if n in (*_MEANS, "interval", "verdict")]
    chosen = {*first, *[n for n in names if n not in first][: max(0, most - len(first))]}
    return [n for n in names if n in chosen][:most]


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """Rows under a header, words to the left and wrapped where they must be, numbers to the right.

    >>> print(text_table(["what", "mean"], [["a", "0.5"], ["b", "−1.0"]]))
    what  mean
    ────  ────
    a      0.5
    b     −1.0
    """
    columns = list(zip(head, *rows, strict=True))
    right = [bool(rows) and all(_numeric(cell) for cell in column[1:]) for column in columns]
    wide = _widths([max(map(len, column)) for column in columns], right, width - 2 * (len(columns) - 1))

    def laid(cells: Sequence[str]) -> list[str]:
        broken = [textwrap.wrap(c, w, break_on_hyphens=False) or [""] for c, w in zip(cells, wide, strict=True)]
        height = max(map(len, broken))
        full = [b + [""] * (height - len(b)) for b in broken]
        pairs = list(zip(full, wide, right, strict=True))
        return ["  ".join(b[i].rjust(w) if r else b[i].ljust(w) for b, w, r in pairs).rstrip() for i in range(height)]

    lines = [*laid(head), "  ".join("─" * w for w in wide)]
    for row in rows:
        lines += laid(row)
    return "\n".join(lines)


def _numeric(cell: str) -> bool:
    """A number, an interval, both, or nothing."""
    return not set(cell.replace("%", "").replace("e", "")) - set("0123456789−–-+.,[]<   ")


def _widths(natural: list[int], right: list[bool], room: int) -> list[int]:
    """Natural widths, the widest columns of words narrowed until all fit."""
    wide = list(natural)
    while sum(wide) > room:
        words = [i for i, r in enumerate(right) if not r and wide[i] > _LEAST] or [
            i for i, w in enumerate(wide) if w > 6
        ]
        if not words:
            break
        widest = max(words, key=lambda i: wide[i])
        wide[widest] -= 1
    return wide


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table, which prints itself within 80 columns: the telling columns, and the names of the others below."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        return frame
    return _told_table()(frame)


@functools.cache
def _told_table() -> Any:
    import pandas as pd

    class Table(pd.DataFrame):
        """A DataFrame in everything but `print`."""

        @property
        def _constructor(self) -> Any:
            return pd.DataFrame  # what is cut out of it prints as pandas does

        def __repr__(self) -> str:
            return told(self)

    Table.__name__ = Table.__qualname__ = "DataFrame"
    return Table


def _fits(short: pd.DataFrame) -> bool:
    """Whether words alone need be wrapped."""
    columns = [[str(name), *short[name]] for name in short.columns]
    least = [max(map(len, c)) if all(map(_numeric, c[1:])) else min(_LEAST, max(map(len, c))) for c in columns]
    return sum(least) + 2 * (len(columns) - 1) <= WIDTH


def told(frame: pd.DataFrame, most: int = 60) -> str:
    """A table as text of 80 columns, and what of it is not shown."""
    if frame.empty:
        return f"no rows; columns: {', '.join(map(str, frame.columns))}"
    short = next(
        (found for columns in (7, 6) if _fits(found := condensed(frame, columns))), condensed(frame)
    )  # the more, the better, while no interval must be broken
    text = text_table(list(short.columns), short.head(most).values.tolist())
    more = [f"{len(frame) - most} more rows"] if len(frame) > most else []
    hidden = [str(c) for c in frame.columns if str(c) not in short.columns and str(c) not in ("low", "high")]
    more += [f"more columns: {', '.join(hidden)}"] if hidden else []
    return text + ("\n" + textwrap.fill(f"({'; '.join(more)})", WIDTH) if more else "")
