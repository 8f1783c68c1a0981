"""Records from local files: JSON lines, CSV, parquet. Errors name the file and the line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from iclmech._base import TaskError, np_rng

from ._records import Rows

SUFFIXES = (".jsonl", ".csv", ".parquet")


def read_rows(path: str | Path) -> Rows:
    """All records of a file, with the numbers of their lines (JSON lines, CSV: from 1) or rows (parquet: from 0).

    Raises:
        TaskError: no such file, another format, not UTF-8, a broken line.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise TaskError(
            f"{path}: got a file of type {path.suffix or '(none)'!r}; expected one of {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise TaskError(f"{path}: no such file; expected records, one example each. Check the path.")
    return {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}[path.suffix](path)


def _text_lines(path: Path) -> list[str]:
    lines = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            lines.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise TaskError(
                f"{path}, line {number}: byte {line[error.start]:#04x} at position {error.start} is not UTF-8; expected UTF-8 "
                "text. Save the file as UTF-8."
            ) from error
    return lines


def _read_jsonl(path: Path) -> Rows:
    records: list[tuple[int, Any]] = []
    for number, line in enumerate(_text_lines(path), start=1):
        if not line.strip():
            continue
        try:
            records.append((number, json.loads(line)))
        except (json.JSONDecodeError, RecursionError) as error:
            raise TaskError(
                f"{path}, line {number}: not JSON ({error}); got {line.strip()[:80]!r}, expected one JSON object on each line. "
                "Mend or remove the line."
            ) from error
    return Rows(str(path), records, "line")


def _read_csv(path: Path) -> Rows:
    reader = csv.reader(io.StringIO("\n".join(_text_lines(path)), newline=""), strict=True)
    header: list[str] = []
    records: list[tuple[int, Any]] = []
    while True:
        number = reader.line_num + 1  # where the row starts: a quoted cell may hold newlines
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise TaskError(
                f"{path}, line {number}: not CSV ({error}); expected a header and one row for each example. "
                "Check the quotes and commas of the row that starts there."
            ) from error
        if cells is None:
            return Rows(str(path), records, "line", all_text=True)
        if not cells:
            continue
        if not header:
            header = cells
        elif len(cells) > len(header):
            raise TaskError(
                f"{path}, line {number}: got {len(cells)} cells, more than the header has ({header}). "
                "Put texts that hold commas between double quotes."
            )
        else:
            records.append((number, dict(zip(header, cells, strict=False))))


def _read_parquet(path: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise TaskError(
            f"{path}: not parquet ({error}); expected a parquet file of records. Write the file anew."
        ) from error
    records = table.to_pylist()
    names = _class_names(table.schema.metadata or {})
    for record in records:
        label = record.get("label")
        if isinstance(label, int) and "label_name" not in record and 0 <= label < len(names):
            record["label_name"] = names[label]
    return Rows(str(path), list(enumerate(records)), "row")


def _class_names(metadata: dict[bytes, bytes]) -> list[str]:
    """Names of the classes that `datasets` leaves in a parquet file, or none."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return list(features["label"].get("names") or [])
    except (KeyError, ValueError, AttributeError):
        return []


def read_directory(path: Path) -> tuple[Rows, Rows]:
    """Train and test rows of a directory with `train` and `test` as .jsonl, .csv or .parquet.

    Raises:
        TaskError: a split is missing, or present in two formats.
    """
    found = []
    for split in ("train", "test"):
        files = [path / f"{split}{suffix}" for suffix in SUFFIXES if (path / f"{split}{suffix}").is_file()]
        if len(files) != 1:
            there = sorted(p.name for p in path.iterdir())[:12]
            raise TaskError(
                f"{path}: got {[f.name for f in files] or 'no file'} for the {split} split; expected exactly one of "
                f"{', '.join(split + s for s in SUFFIXES)}. The directory holds {there}."
            )
        found.append(read_rows(files[0]))
    return found[0], found[1]


def split_rows(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """One file as train and test: a fixed random `share` of the records is the test split."""
    n_test = round(len(rows.records) * share)
    if not 0 < n_test < len(rows.records):
        raise TaskError(
            f"{rows.where}: test={share} leaves {len(rows.records) - n_test} records to train and {n_test} to test; expected a "
            "share between 0 and 1 that leaves some in both."
        )
    order = np_rng(0, "split of a file").permutation(len(rows.records))
    parts = (sorted(order[n_test:]), sorted(order[:n_test]))
    train, test = (Rows(rows.where, [rows.records[i] for i in part], rows.unit, rows.all_text) for part in parts)
    return train, test


def local_splits(path: Path, test: Any = None) -> tuple[Rows, Rows]:
    """Train and test rows of a directory, or of one file with `test` another file or the share to keep for queries.

    Raises:
        TaskError: no such file, or one file without `test`.
    """
    if path.is_dir():
        return read_directory(path)
    if not path.is_file() and path.suffix not in SUFFIXES:
        raise TaskError(
            f"data={str(path)!r}: no such directory; expected one with train.jsonl and test.jsonl. Check the path."
        )
    rows = read_rows(path)
    if isinstance(test, float):
        return split_rows(rows, test)
    if not isinstance(test, str | Path):
        raise TaskError(
            f"{path}: one file, and demonstrations and queries must come from different records. "
            "Give test='another file', or the share to keep for queries, test=0.5."
        )
    return rows, read_rows(test)
