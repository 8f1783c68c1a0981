from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.tasks import DEUTCH2024, EOS_SEPARATOR, PRESETS, Task, build_prompts, list_tasks, load_task

from .conftest import records


def write(path: Path, train: list[dict[str, Any]], test: list[dict[str, Any]] | None = None) -> Path:
    for split, rows in (("train", train), ("test", test or train)):
        (path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# Two releases of the same data that number the classes differently, neither in the order of the label words.
CB = [
    [("contradiction", 0), ("entailment", 1), ("neutral", 2)],
    [("entailment", 0), ("contradiction", 1), ("neutral", 2)],
]


@pytest.mark.parametrize("release", CB)
def test_cb_comes_out_right_whatever_the_numbers(tmp_path: Path, release: list[tuple[str, int]]) -> None:
    rows = [{"premise": f"p{n}", "hypothesis": name, "label": n, "label_name": name} for name, n in release]
    task = load_task("cb", data=write(tmp_path, rows))
    right = {"entailment": "True", "contradiction": "False", "neutral": "Neither"}
    assert task.label_words == ["True", "False", "Neither"]
    assert {e.fields["hypothesis"]: task.answer(e) for e in task.train} == right


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0)])
def test_subj_comes_out_right_whatever_the_numbers(tmp_path: Path, numbers: tuple[int, int]) -> None:
    rows = [{"text": n, "label": i, "label_name": n} for n, i in zip(("objective", "subjective"), numbers, strict=True)]
    task = load_task("subj", data=write(tmp_path, rows))
    assert task.label_words == ["objective", "subjective"]
    assert all(task.answer(e) == e.text for e in task.train)


def test_disagreeing_names_raise(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 0, "label_name": "objective"}, {"text": "b", "label": 1, "label_name": "positive"}]
    with pytest.raises(
        TaskError, match=r"train\.jsonl, line 2: unknown label 'positive'; expected one of \['objective'"
    ):
        load_task("subj", data=write(tmp_path, rows))
    rows[1]["label_name"] = "subjective"
    with pytest.raises(TaskError, match=r"test\.jsonl, line 1: label 0 is called 'subjective' here"):
        load_task("subj", data=write(tmp_path, rows, [{"text": "c", "label": 0, "label_name": "subjective"}]))


def test_bare_numbers_need_names(tmp_path: Path) -> None:
    path = write(tmp_path, [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    with pytest.raises(TaskError, match=r"line 1: got only the number 0 .*Give label_names="):
        load_task("subj", data=path)
    task = load_task("subj", data=path, label_names=["subjective", "objective"])
    assert [task.answer(e) for e in task.train] == ["subjective", "objective"]


@pytest.mark.parametrize("name", ["sst2", "sst5", "mr", "subj", "cb", "trec"])
def test_real_records_keep_their_names(shared_data: Callable[[str], Path], name: str) -> None:
    path = shared_data(name)
    task = load_task(name, data=path)
    for split in ("train", "test"):
        rows = [json.loads(line) for line in (path / f"{split}.jsonl").read_text().splitlines()]
        answers = [task.answer(e) for e in getattr(task, split)]
        pairs = Counter((row["label_name"], answer) for row, answer in zip(rows, answers, strict=True))
        assert dict(pairs.keys()) == {n: PRESETS[name].words[n] for n, _ in pairs}
        assert len(pairs) == len(task.label_words)


def test_cb_on_a_small_window(shared_data: Callable[[str], Path], stories: Any) -> None:
    task = load_task("cb", data=shared_data("cb"))
    with pytest.warns(UserWarning, match=r"dropped as too long.* of the 32 demonstrations asked for remain"):
        prompts = build_prompts(stories, task, max_share=0.3)
    assert prompts.n_ctx == 512
    longest = max(len(q.tokens) for q in prompts.queries)
    assert 1 <= prompts.k < 32
    assert len(prompts.context_tokens) + longest + max(map(len, prompts.contexts[0].label_tokens)) + 1 <= 512


def test_presets_are_those_published() -> None:
    assert set(DEUTCH2024["tasks"]) == {"sst2", "sst5", "mr", "subj", "agnews", "cb"}
    assert DEUTCH2024["lr"] == {"sst2": 5e-4, "sst5": 1.6e-4, "mr": 3e-3, "subj": 3e-3, "agnews": 0.2, "cb": 0.08}
    assert DEUTCH2024["separator"] == EOS_SEPARATOR
    words = {name: list(dict.fromkeys(PRESETS[name].words.values())) for name in DEUTCH2024["tasks"]}
    assert words == {
        "sst2": ["Negative", "Positive"],
        "sst5": ["terrible", "bad", "neutral", "good", "great"],
        "mr": ["Negative", "Positive"],
        "subj": ["objective", "subjective"],
        "agnews": ["World", "Sports", "Business", "Technology"],
        "cb": ["True", "False", "Neither"],
    }


def test_a_preset_under_other_words(tmp_path: Path) -> None:
    path = write(tmp_path, [{"text": "a", "label_name": "neg"}, {"text": "b", "label_name": "positive"}])
    task = load_task("sst2", data=path, label_words=["foo", "bar"], template="{text} =", name="other")
    assert (task.name, task.template) == ("other", "{text} =")
    assert [task.answer(e) for e in task.train] == ["foo", "bar"]
    with pytest.raises(TaskError, match="expected 2 words in the place of"):
        load_task("sst2", data=path, label_words=["foo", "bar", "baz"])


def test_default_templates_name_all_fields(tmp_path: Path) -> None:
    rows = [{"premise": "p", "hypothesis": "h", "label": 0, "label_name": n, "idx": 3} for n in ("no",)]
    rows.append({"premise": "q", "hypothesis": "i", "label": 1, "label_name": "yes", "idx": 4})
    assert load_task(write(tmp_path, rows)).template == "Premise: {premise}\nHypothesis: {hypothesis}\nLabel:"
    free = load_task(tmp_path, target_field="hypothesis")
    assert (free.template, free.kind) == ("Premise: {premise}\nAnswer:", "free text")


def test_nothing_to_infer_label_words_from(tmp_path: Path) -> None:
    path = write(tmp_path, [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    with pytest.raises(TaskError, match=r"found the label names .* Give label_words="):
        load_task(path)
    assert load_task(path, label_words=["no", "yes"]).label_words == ["no", "yes"]
    assert load_task(path, label_names=["no", "yes"]).label_words == ["no", "yes"]


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("sst3",), {}, r"got 'sst3'; .*Did you mean 'sst"),
        (("mini/nothing",), {}, r"got 'mini/nothing'; expected one of \['mini/sentiment'"),
        (("mini/sentimnet",), {}, r"got 'mini/sentimnet'.* Did you mean 'mini/sentiment'"),
        (("words/plurals",), {}, r"got 'words/plurals'.* Did you mean 'words/plural'\?$"),
        (("plural",), {}, r"got 'plural'.* Did you mean 'words/plural'\?$"),
        (("words/plural", "dir"), {}, "brings its own; leave data out"),
        (("mini/sentiment", "dir"), {}, "brings its own; leave data out"),
        (("sst2", "no/such/dir"), {}, "no such directory; expected one with train.jsonl"),
        (("elsewhere", "dir"), {}, "which is not a published task"),
        (("sst2",), {"templte": "x"}, r"got the options \['templte'\]"),
    ],
)
def test_bad_names(args: tuple[str, ...], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(*args, **kwargs)


def test_the_list_of_tasks() -> None:
    names = list_tasks()
    assert {"mini/sentiment", "sst2", "cb", "agnews"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["mini/sentiment", "mini/sentiment-flipped", "mini/held-topic", "mini/entailment"])
def test_shipped_tasks(name: str) -> None:
    from iclmech.mini import mini_task_spec

    task, spec = load_task(name), mini_task_spec(name)
    assert isinstance(task, Task)
    names = dict(zip(spec.label_names, spec.label_words, strict=True))
    assert all(task.answer(e) == names[row["label"]] for e, row in zip(task.train, spec.train, strict=True))
    assert (task.episode(1) is task) == (spec.episode is None)
    assert load_task(name).hash == task.hash
    assert not {e.text for e in task.train} & {e.text for e in task.test}


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    seen: dict[str, Any] = {}

    def fake(kind: str, data_files: dict[str, str]) -> Any:
        seen.update(kind=kind, files=data_files)
        names = datasets.ClassLabel(names=["negative", "positive"])
        features = datasets.Features({"sentence": datasets.Value("string"), "label": names})
        rows = [{"sentence": r["text"], "label": r["label"]} for r in records(4)]
        return datasets.DatasetDict({s: datasets.Dataset.from_list(rows, features=features) for s in data_files})

    monkeypatch.setattr(datasets, "load_dataset", fake)
    task = load_task("sst2")
    assert seen["kind"] == "parquet"  # data only, never code
    assert seen["files"] == {
        "train": "hf://datasets/stanfordnlp/sst2@refs/convert/parquet/default/train/*.parquet",
        "test": "hf://datasets/stanfordnlp/sst2@refs/convert/parquet/default/validation/*.parquet",
    }
    assert [task.answer(e) for e in task.train] == ["Negative", "Positive"] * 2
    task = load_task("someone/something", config="c", test="held", columns={"sentence": "text"})
    assert seen["files"]["test"] == "hf://datasets/someone/something@refs/convert/parquet/c/held/*.parquet"
    assert (task.label_words, task.name) == (["negative", "positive"], "someone/something")


def test_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(TaskError, match=r"could not fetch 'stanfordnlp/sst2'.*no route.*data='directory with"):
        load_task("sst2")
    with pytest.raises(TaskError, match=r"could not fetch 'word/plural'.* Did you mean 'words/plural'\?$"):
        load_task("word/plural")
