"""`load_task`: shipped tasks, published ones on local or hub data, and the user's own files."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclmech._base import TaskError

from ._datasets import hub_splits
from ._files import SUFFIXES, local_splits, read_directory
from ._presets import PRESETS
from ._records import Rows, infer_label_names
from ._sources import SOURCES, source_of
from ._task import Task

if TYPE_CHECKING:
    import pandas as pd

_OPTIONS = ("template", "label_words", "label_names", "target_field", "separator", "description", "label_pool", "name")


def list_tasks() -> list[str]:
    """Names that `load_task` knows: the shipped `mini/` and `words/` tasks first, then the published ones, which need data.

    >>> "words/plural" in list_tasks()
    True
    """
    return [name for source in SOURCES.values() for name in source.names()]


def task_table() -> pd.DataFrame:
    """What `list_tasks` names: a row a task, with the columns source, what, label words, and needs.

    `label words` reads "free text" where each input has an answer of its own.

    >>> task_table().loc["words/opposite", "label words"]
    'free text'
    """
    import pandas as pd

    rows = {}
    for source in SOURCES.values():
        for name in source.names():
            card = source.describe(name)
            words = ", ".join(card.label_words) or "free text"
            rows[name] = {"source": source.name, "what": card.description, "label words": words, "needs": source.needs}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")


def load_task(
    name_or_path: str | Path,
    data: Any = None,
    *,
    test: str | Path | float | None = None,
    columns: Mapping[str, str] | None = None,
    config: str = "default",
    **options: Any,
) -> Task:
    """A task by name or from data.

    Args:
        name_or_path: one of

            * a shipped task, `"mini/sentiment"` or `"words/plural"`;
            * a published one, `"sst2"`, with its template and label words; the records come from `data`, or else from the hub;
            * a directory with `train` and `test` as .jsonl, .csv or .parquet, and perhaps a `task.json` with any of
              template, label_words, label_names, target_field, separator, description, label_pool, name;
            * one such file, with `test=` another file or the share to keep for queries;
            * `"owner/name"` on the Hugging Face hub (read from its parquet branch).
        data: for a published task: a directory or file as above, or a `datasets.DatasetDict`.
        test: the second file, or a share such as .5.
        columns: `{column of the data: field of the template, or "label"}` for `datasets` and hub data.
        config: configuration of a hub data set.
        options: template, label_words, label_names, target_field, separator, description, label_pool, name as in
            `Task.from_records`, in place of the preset's or the file's. What is given nowhere is read off the data: the label
            names are the label words, and the template lists the text fields.

    Raises:
        TaskError: an unknown name, unreachable data, or a bad record (with file and line).

    >>> task = load_task("words/plural")
    >>> task.kind, task.answer(task.train[0])
    ('free text', 'babies')
    """
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise TaskError(f"load_task got the options {unknown}; expected some of {list(_OPTIONS)}.")
    options = {key: value for key, value in options.items() if value is not None}
    name = str(name_or_path)
    source = source_of(name)
    if source is not None:
        return source.load(name, data, test=test, columns=columns, **options)
    if _family(name):
        raise _unknown(name)
    if data is not None:
        raise TaskError(
            f"got data={data!r} for {name!r}, which is not a published task; expected one of {list(PRESETS)}.{_meant(name)}"
        )
    path = Path(name_or_path)
    if path.is_dir():
        train, held, own = *read_directory(path), _task_json(path)
        return _inferred(train, held, {"name": path.resolve().name, **own, **options})
    if path.is_file() or path.suffix in SUFFIXES:
        return _inferred(*local_splits(path, test), {"name": path.stem, **options})
    if name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise _unknown(name)
    splits = {"train": "train", "test": str(test or "test")}
    try:
        train, held = hub_splits(name, config, splits, columns)
    except TaskError as error:
        raise TaskError(f"{error}{_meant(name)}") from error
    return _inferred(train, held, {"name": name, **options})


def _family(name: str) -> list[str]:
    """The known names that share the part before the slash."""
    return [known for known in list_tasks() if "/" in name and known.startswith(name.partition("/")[0] + "/")]


def _unknown(name: str) -> TaskError:
    """The error for a name that nothing answers to. Where a known one is close it is named, else all are."""
    family = _family(name)
    others = "" if family else ", a directory or file with records, or a hub data set 'owner/name'"
    meant = _meant(name)
    known = f"one of the names in list_tasks(){others}" if meant else f"one of {family or list_tasks()}{others}"
    return TaskError(f"got {name!r}; expected {known}.{meant}")


def _meant(name: str) -> str:
    """A question with the nearest names, compared by what stands after the slash, or nothing."""
    ends = {known.rpartition("/")[2]: known for known in _family(name) or list_tasks()}
    close = [ends[end] for end in difflib.get_close_matches(name.rpartition("/")[2], ends, 3, 0.6)]
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def _task_json(directory: Path) -> dict[str, Any]:
    path = directory / "task.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: not JSON ({error}); expected an object with some of {list(_OPTIONS)}.") from error
    if not isinstance(found, dict) or set(found) - set(_OPTIONS):
        got = sorted(set(found) - set(_OPTIONS)) if isinstance(found, dict) else type(found).__name__
        raise TaskError(f"{path}: got {got}; expected an object with some of {list(_OPTIONS)}.")
    return found


def _inferred(train: Rows, held: Rows, kwargs: dict[str, Any]) -> Task:
    """A task from rows, with label words and template read off the records where they are not given."""
    if kwargs.get("label_words") is None and kwargs.get("target_field") is None:
        kwargs["label_words"] = kwargs.get("label_names") or infer_label_names(train, held)
    if kwargs.get("template") is None:
        kwargs["template"] = _default_template(train, kwargs.get("target_field"))
    return Task.from_records(train, held, **kwargs)


def _default_template(rows: Rows, target_field: str | None) -> str:
    first = next((record for _, record in rows.records if isinstance(record, Mapping)), {})
    reserved = ("label", "label_name", "idx", "id", target_field)
    names = [
        key
        for key, value in first.items()
        if key not in reserved and isinstance(value, str) and str(key).isidentifier()
    ]
    if not names:
        raise TaskError(
            f"{rows.where}: the first record has no text field; expected e.g. 'text'. Give template='... {{field}} ...'."
        )
    answer = "Answer" if target_field else "Label"
    return "".join(f"{name[:1].upper()}{name[1:]}: {{{name}}}\n" for name in names) + f"{answer}:"
