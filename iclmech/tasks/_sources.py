"""Where named tasks come from: a table of sources, to which another package adds one of its own.

```
SOURCES["mine"] = TaskSource("mine", names=lambda: ["mine/easy"], load=my_loader)
load_task("mine/easy")
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from iclmech._base import TaskError

from ._datasets import dataset_splits, hub_splits
from ._files import local_splits
from ._presets import PRESETS, Preset
from ._task import Task
from ._word_tasks import word_pairs, word_task, word_task_names


class TaskCard(NamedTuple):
    """What a listing says of a task. `label_words` is empty where answers are free text."""

    description: str
    label_words: list[str]


@dataclass(frozen=True)
class TaskSource:
    """A family of named tasks.

    Attributes:
        name: key in `SOURCES`.
        names: names of its tasks, as `load_task` takes them.
        load: `load(name, data, /, *, test, columns, **options) -> Task`; the options are those of `Task.from_records`, `name`
            (how the task is called in results) among them.
        needs: what the user has to bring, in words; `"nothing"` where the data are shipped.
        card: `card(name)` tells of a task without its data; where there is none, the task is loaded and asked.
    """

    name: str
    names: Callable[[], Sequence[str]]
    load: Callable[..., Task]
    needs: str = "nothing"
    card: Callable[[str], TaskCard] | None = None

    def describe(self, name: str) -> TaskCard:
        """The card of one of its tasks."""
        if self.card is not None:
            return self.card(name)
        task = self.load(name, None)
        return TaskCard(task.description, list(task.label_words))


def source_of(name: str) -> TaskSource | None:
    """The source that has a task of this name, or None."""
    return next((source for source in SOURCES.values() if name in source.names()), None)


def _refuse_data(name: str, data: Any) -> None:
    if data is not None:
        raise TaskError(f"got data={data!r} for the shipped task {name!r}, which brings its own; leave data out.")


def _mini_names() -> list[str]:
    from iclmech.mini import MINI_TASKS

    return list(MINI_TASKS)


def _mini(name: str, data: Any = None, /, *, test: Any = None, columns: Any = None, **options: Any) -> Task:
    from iclmech.mini import mini_task_spec

    _refuse_data(name, data)
    spec = mini_task_spec(name)
    own = {key: getattr(spec, key) for key in ("template", "label_words", "label_names", "description", "label_pool")}
    return Task.from_records(spec.train, spec.test, **{"name": name, **own, **options})


def _mini_card(name: str) -> TaskCard:
    from iclmech.mini import mini_task_spec

    spec = mini_task_spec(name)
    return TaskCard(spec.description, list(spec.label_words))


def _words(name: str, data: Any = None, /, *, test: Any = None, columns: Any = None, **options: Any) -> Task:
    _refuse_data(name, data)
    return word_task(name, **options)


def _published(
    name: str, data: Any = None, /, *, test: Any = None, columns: Mapping[str, str] | None = None, **options: Any
) -> Task:
    preset = PRESETS[name]
    if data is None:
        splits = {"train": preset.train, "test": preset.test}
        train, held = hub_splits(preset.hub, preset.config, splits, columns or preset.columns)
    elif isinstance(data, str | Path):
        train, held = local_splits(Path(data), test)
    else:
        train, held = dataset_splits(data, test, preset.columns if columns is None else columns, name)
    own = {"name": name, "template": preset.template, "description": preset.description}
    words = _preset_words(preset, options.get("label_words"))
    return Task.from_records(train, held, **{**own, **options, "label_words": words})


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


def _preset_card(name: str) -> TaskCard:
    return TaskCard(PRESETS[name].description, list(dict.fromkeys(PRESETS[name].words.values())))


SOURCES: dict[str, TaskSource] = {
    "mini": TaskSource("mini", _mini_names, _mini, card=_mini_card),
    "words": TaskSource("words", word_task_names, _words, card=lambda name: TaskCard(word_pairs(name).description, [])),
    "published": TaskSource(
        "published", lambda: list(PRESETS), _published, "records: data='directory', or the hub", _preset_card
    ),
}
"""The sources of named tasks, in the order of `list_tasks()`."""
