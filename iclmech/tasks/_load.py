"""`load_task`: shipped tasks, published ones on local or hub data, and the user's own files."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iclmech._base import TaskError

from ._datasets import dataset_splits, hub_splits
from ._files import SUFFIXES, read_directory, read_rows, split_rows
from ._presets import PRESETS, Preset
from ._records import Rows, infer_label_names
from ._task import Task

_OPTIONS = ("template", "label_words", "label_names", "target_field", "separator", "description", "label_pool", "name")


def list_tasks() -> list[str]:
    """Names that `load_task` knows: the shipped `mini/` tasks first, then the published ones, which need data."""
    from iclmech.mini import MINI_TASKS

    return [*MINI_TASKS, *PRESETS]


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

            * a shipped task, `"mini/sentiment"`;
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
    """
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise TaskError(f"load_task got the options {unknown}; expected some of {list(_OPTIONS)}.")
    options = {key: value for key, value in options.items() if value is not None}
    name = str(name_or_path)
    if name.startswith("mini/"):
        return _mini(name, data, options)
    if name in PRESETS:
        return _preset(name, data, test, columns, options)
    if data is not None:
        raise TaskError(
            f"got data={data!r} for {name!r}, which is not a published task; expected one of {list(PRESETS)}."
        )
    path = Path(name_or_path)
    if path.is_dir():
        train, held, own = *read_directory(path), _task_json(path)
        return _inferred(train, held, {"name": path.resolve().name, **own, **options})
    if path.is_file() or path.suffix in SUFFIXES:
        return _inferred(*_files(path, test), {"name": path.stem, **options})
    if name.count("/") == 1 and not name.startswith((".", "~", "/")):
        splits = {"train": "train", "test": str(test or "test")}
        return _inferred(*hub_splits(name, config, splits, columns), {"name": name, **options})
    close = difflib.get_close_matches(name, list_tasks(), 3, 0.5)
    meant = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise TaskError(
        f"got {name!r}; expected one of {list_tasks()}, a directory or file with records, or a hub data set 'owner/name'.{meant}"
    )


def _mini(name: str, data: Any, options: Mapping[str, Any]) -> Task:
    from iclmech.mini import MINI_TASKS, mini_task_spec

    if name not in MINI_TASKS:
        raise TaskError(f"got {name!r}; the shipped tasks are {list(MINI_TASKS)}.")
    if data is not None:
        raise TaskError(f"got data={data!r} for the shipped task {name!r}, which brings its own; leave data out.")
    spec = mini_task_spec(name)
    own = {key: getattr(spec, key) for key in ("template", "label_words", "label_names", "description", "label_pool")}
    return Task.from_records(spec.train, spec.test, **{"name": name, **own, **options})


def _preset(name: str, data: Any, test: Any, columns: Mapping[str, str] | None, options: dict[str, Any]) -> Task:
    preset = PRESETS[name]
    if data is None:
        splits = {"train": preset.train, "test": preset.test}
        train, held = hub_splits(preset.hub, preset.config, splits, columns or preset.columns)
    elif isinstance(data, str | Path):
        train, held = _local(Path(data), test)
    else:
        train, held = dataset_splits(data, test, preset.columns if columns is None else columns, name)
    kwargs = {"name": name, "template": preset.template, "description": preset.description, **options}
    kwargs["label_words"] = _preset_words(preset, options.get("label_words"))
    return Task.from_records(train, held, **kwargs)


def _preset_words(preset: Preset, words: Sequence[str] | Mapping[str, str] | None) -> Mapping[str, str]:
    """{label name: word}; a list given by the user takes the place of the preset's words, in their order."""
    if words is None or isinstance(words, Mapping):
        return preset.words if words is None else words
    own = list(dict.fromkeys(preset.words.values()))
    if isinstance(words, str) or len(words) != len(own):
        raise TaskError(
            f"got label_words={words!r}; expected {len(own)} words in the place of {own}, or {{name: word}}."
        )
    return {name: words[own.index(word)] for name, word in preset.words.items()}


def _local(path: Path, test: Any) -> tuple[Rows, Rows]:
    if path.is_dir():
        return read_directory(path)
    if path.is_file() or path.suffix in SUFFIXES:
        return _files(path, test)
    raise TaskError(
        f"data={str(path)!r}: no such directory; expected one with train.jsonl and test.jsonl. Check the path."
    )


def _files(path: Path, test: Any) -> tuple[Rows, Rows]:
    rows = read_rows(path)
    if isinstance(test, float):
        return split_rows(rows, test)
    if not isinstance(test, str | Path):
        raise TaskError(
            f"{path}: one file, and demonstrations and queries must come from different records. "
            "Give test='another file', or the share to keep for queries, test=0.5."
        )
    return rows, read_rows(test)


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
