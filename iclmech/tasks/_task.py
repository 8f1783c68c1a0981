"""A task: examples, a template, label words. Values only; prompts are built elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from iclmech._base import TaskError, digest, np_rng

from ._datasets import dataset_splits
from ._html import task_html
from ._records import Example, Labels, Rows, examples, infer_label_names
from ._template import template as parse_template

DEFAULT_SEPARATOR = "\n"


@dataclass(frozen=True, repr=False)
class Task:
    """Examples with a template and label words. Demonstrations are drawn from `train`, queries from `test`.

    Attributes:
        name: how it is called in results.
        train, test: lists of `Example`.
        template: what stands around the fields, e.g. `"Review: {text}\\nSentiment:"`; the label word follows after a space.
        label_words: one for each class, in the order of `Example.label`; empty where the answer is free text.
        separator: what stands after each demonstration; `"<eos>"` is the end-of-text token.
        label_names: the data's names of the classes, in the order of `label_words`.
        description: one sentence.
        label_pool: words from which `episode` redraws the label words; empty where it does not.

    Raises:
        TaskError: a bad template, label words that are not distinct, or an example without a right answer.

    Example:
        >>> train = [{"text": "superb", "label": 1}, {"text": "dull", "label": 0}]
        >>> task = Task.from_records(train, train, "Review: {text}\\nSentiment:", ["negative", "positive"], "mine")
        >>> task
        Task('mine', train=2, test=2, template='Review: {text}\\nSentiment:', label_words=['negative', 'positive'])
        >>> task.render(task.train[0]), task.answer(task.train[0])
        ('Review: superb\\nSentiment:', 'positive')
        >>> task.kind
        'classification'
    """

    name: str
    train: list[Example]
    test: list[Example]
    template: str
    label_words: list[str]
    separator: str = DEFAULT_SEPARATOR
    label_names: list[str] = field(default_factory=list)
    description: str = ""
    label_pool: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        parse_template(self.template)
        check_words(self.label_words, "label_words", self.name)
        check_words(self.label_pool, "label_pool", self.name)
        if len(self.label_words) == 1:
            raise TaskError(
                f"task {self.name!r} has the one label word {self.label_words[0]!r}; expected at least two classes."
            )
        if self.label_pool and len(self.label_pool) < len(self.label_words):
            raise TaskError(
                f"task {self.name!r} redraws {len(self.label_words)} label words from a pool of {len(self.label_pool)}; "
                "expected a pool at least as large. Add words to label_pool."
            )
        for split in ("train", "test"):
            for row, example in enumerate(getattr(self, split)):
                self._check(example, f"task {self.name!r}, {split} example {row}")

    def _check(self, example: Example, place: str) -> None:
        if self.label_words and (example.label is None or not 0 <= example.label < len(self.label_words)):
            raise TaskError(f"{place} has the label {example.label}; expected an index 0..{len(self.label_words) - 1}.")
        if not self.label_words and not example.target:
            raise TaskError(f"{place} has no target, and the task has no label words; give label_words or targets.")

    @property
    def kind(self) -> str:
        """`"classification"`, or `"free text"` where each example has its own target."""
        return "classification" if self.label_words else "free text"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the template."""
        return parse_template(self.template).fields

    @cached_property
    def hash(self) -> str:
        """16 hex digits that depend on all that enters prompts (not on name and description)."""
        content = [self.template, self.label_words, self.separator, self.label_pool]
        return digest(content, [asdict(e) for e in self.train], [asdict(e) for e in self.test])

    def answer(self, example: Example) -> str:
        """The word or text that is right for an example."""
        return str(example.target) if example.label is None else self.label_words[example.label]

    def render(self, example: Example) -> str:
        """The filled template, without the answer: what `build_prompts` tokenises piece by piece."""
        return parse_template(self.template).render(example.fields)

    def episode(self, seed: int) -> Task:
        """This task with label words redrawn from `label_pool`; the task itself if it has no pool.

        A subclass may redraw texts as well; `train` and `test` must keep their lengths.

        Args:
            seed: draws the words.
        """
        if not self.label_pool:
            return self
        drawn = np_rng(seed, "label words").permutation(len(self.label_pool))[: len(self.label_words)]
        return replace(self, label_words=[self.label_pool[i] for i in drawn])

    @classmethod
    def from_records(
        cls,
        train: Sequence[Any] | Rows,
        test: Sequence[Any] | Rows,
        template: str = "{text}\nLabel:",
        label_words: Sequence[str] | Mapping[str, str] | None = None,
        name: str = "task",
        *,
        label_names: Sequence[str] | None = None,
        target_field: str | None = None,
        separator: str = DEFAULT_SEPARATOR,
        description: str = "",
        label_pool: Sequence[str] = (),
    ) -> Task:
        """A task from dicts with the template's fields and a `"label"` (number or name) and/or `"label_name"`.

        Args:
            train, test: the records; demonstrations come from the first, queries from the second.
            template: text with `{field}`s.
            label_words: a list (class i has word i) or `{label name: word}`. Names in the records decide; where they match
                neither `label_names` nor the words themselves, that is an error, never a guess by number.
            name, separator, description, label_pool: as in `Task`.
            label_names: `label_names[i]` is the name of the integer label i.
            target_field: the answer is the text in this field instead of a label.

        Raises:
            TaskError: a bad record (with its number), template or label words.

        Example:
            >>> pairs = [{"word": "one", "twice": "two"}, {"word": "two", "twice": "four"}]
            >>> task = Task.from_records(pairs[:1], pairs[1:], "{word} ->", target_field="twice", name="doubles")
            >>> task.kind, task.label_words, task.answer(task.test[0])
            ('free text', [], 'four')
        """
        if (label_words is None) == (target_field is None):
            raise TaskError(
                f"got label_words={label_words!r} and target_field={target_field!r}; expected exactly one of the two: label "
                "words for a classification task, target_field='answer' where the answer is free text."
            )
        if isinstance(label_words, str):
            raise TaskError(
                f"label_words is the text {label_words!r}; expected a list such as ['negative', 'positive']."
            )
        if label_words is not None:
            words = dict.fromkeys(label_words.values()) if isinstance(label_words, Mapping) else label_words
            check_words(list(words), "label_words", name)
        labels = None if label_words is None else Labels(label_words, label_names)
        fields = parse_template(template).fields
        rows = [r if isinstance(r, Rows) else Rows.of(r, where) for r, where in ((train, "train"), (test, "test"))]
        both = [examples(r, fields, labels, target_field) for r in rows]
        return cls(
            name=name,
            train=both[0],
            test=both[1],
            template=template,
            label_words=[] if labels is None else labels.words,
            separator=separator,
            label_names=[] if labels is None else labels.names,
            description=description,
            label_pool=list(label_pool),
        )

    @classmethod
    def from_dataset(
        cls, dataset: Any, test: Any = None, *, columns: Mapping[str, str] | None = None, **kwargs: Any
    ) -> Task:
        """A task from a Hugging Face `DatasetDict` (train and test, else validation), or from two `Dataset`s.

        Args:
            dataset: a `DatasetDict`, or the training `Dataset`.
            test: the test `Dataset`, where the first is not a dict.
            columns: `{column of the data: field of the template or "label"}` for columns to rename.
            kwargs: as in `from_records`. Names of `ClassLabel` columns are used; without `label_words` they are the words.

        Raises:
            TaskError: a split is missing, or a record is bad.
        """
        train, held = dataset_splits(dataset, test, columns or {})
        if kwargs.get("label_words") is None and kwargs.get("target_field") is None:
            kwargs["label_words"] = infer_label_names(train, held)
        return cls.from_records(train, held, **kwargs)

    def __repr__(self) -> str:
        answers = f"label_words={self.label_words}" if self.label_words else "free text"
        pool = f", label_pool of {len(self.label_pool)}" if self.label_pool else ""
        return f"Task({self.name!r}, train={len(self.train)}, test={len(self.test)}, template={self.template!r}, {answers}{pool})"

    def _repr_html_(self) -> str:
        rows = [(self.render(e), self.answer(e)) for e in self.train[:3]]
        return task_html(repr(self), self.description, rows)


def check_words(words: Sequence[str], what: str, name: str) -> None:
    """Label words must be distinct texts without white space around them. Raises `TaskError`."""
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise TaskError(f"task {name!r}: {what} holds {word!r}; expected non-empty text.")
        if word != word.strip():
            raise TaskError(
                f"task {name!r}: {what} holds {word!r} with white space around it; a label word is joined to its prompt "
                f"with one space, and a second one would change its tokens. Write {word.strip()!r}."
            )
    doubles = sorted({word for word in words if list(words).count(word) > 1})
    if doubles:
        raise TaskError(f"task {name!r}: {what} holds {doubles} more than once; expected distinct words.")
