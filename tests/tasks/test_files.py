from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iclmech._base import TaskError
from iclmech.tasks import load_task
from iclmech.tasks._files import read_rows

JSONL = '{"text": "fine, really", "label": 1, "label_name": "pos"}\n\n{"text": "dull 😀", "label": 0, "label_name": "neg"}\n'
CSV = 'text,label,label_name\n"fine, really",1,pos\n"dull\n😀",0,neg\n'


def directory(path: Path, suffix: str = ".jsonl", text: str = JSONL) -> Path:
    for split in ("train", "test"):
        (path / f"{split}{suffix}").write_text(text, encoding="utf-8")
    return path


def test_a_directory_of_json_lines(tmp_path: Path) -> None:
    task = load_task(directory(tmp_path))
    assert (task.name, task.template, task.label_words) == (tmp_path.name, "Text: {text}\nLabel:", ["neg", "pos"])
    assert [(e.text, e.label) for e in task.train] == [("fine, really", 1), ("dull 😀", 0)]


def test_csv_digits_are_numbers_and_cells_may_hold_newlines(tmp_path: Path) -> None:
    task = load_task(directory(tmp_path, ".csv", CSV))
    assert [(e.text, e.label) for e in task.train] == [("fine, really", 1), ("dull\n😀", 0)]
    plain = "text,label\na,0\nb,1\n"
    task = load_task(directory(tmp_path, ".csv", plain), label_words=["no", "yes"])
    assert [e.label for e in task.test] == [0, 1]
    task = load_task(directory(tmp_path, ".csv", plain), label_words=["1", "0"])  # here the digits are names
    assert [e.label for e in task.test] == [1, 0]


def test_parquet(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])})
    data = datasets.Dataset.from_list([{"text": "a", "label": 0}, {"text": "b", "label": 1}], features=features)
    for split in ("train", "test"):
        data.to_parquet(str(tmp_path / f"{split}.parquet"))
    task = load_task(tmp_path, label_words={"neg": "bad", "pos": "good"})
    assert (task.label_words, [e.label for e in task.train]) == (["bad", "good"], [1, 0])
    (tmp_path / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(TaskError, match=r"train\.parquet: not parquet"):
        load_task(tmp_path)


def test_a_single_file(tmp_path: Path) -> None:
    path = directory(tmp_path) / "train.jsonl"
    with pytest.raises(TaskError, match="one file, and demonstrations and queries must come from different records"):
        load_task(path)
    assert len(load_task(path, test=tmp_path / "test.jsonl").test) == 2
    halves = load_task(path, test=0.5)
    assert {e.text for e in (*halves.train, *halves.test)} == {"fine, really", "dull 😀"}
    assert len(halves.test) == 1
    with pytest.raises(TaskError, match=r"test=0.1 leaves 2 records to train and 0 to test"):
        load_task(path, test=0.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a", "label": 0}\n{"text": "b", \n', r"train\.jsonl, line 2: not JSON"),
        (b'{"text": "a", "label": 0}\n\n["b", 1]\n', r"train\.jsonl, line 3: got \['b', 1\], a list"),
        (b'{"text": "a", "label": 0}\n{"text": "", "label": 0}\n', r"train\.jsonl, line 2: the field 'text' is empty"),
        (
            b'{"text": "a", "label": 0}\n{"txt": "b", "label": 0}\n',
            r"train\.jsonl, line 2: the field 'text' is missing",
        ),
        (b'{"text": "a", "label": 0}\n{"text": "b", "label": 9}\n', r"train\.jsonl, line 2: unknown label 9"),
        (
            b'{"text": "a", "label": 0}\n{"text": "b\xff", "label": 0}\n',
            r"train\.jsonl, line 2: byte 0xff .* is not UTF-8",
        ),
        (b'{"text": "a", "label": 0}\n{"text": "\\ud800", "label": 0}\n', r"train\.jsonl, line 2: .*lone surrogate"),
        (
            b'{"text": "a", "label": 0}\n{"text": "b", "label": NaN}\n',
            r"train\.jsonl, line 2: label nan is of type float",
        ),
        (b"[" * 100000, r"train\.jsonl, line 1: not JSON"),
        (b"\n\n", r"train\.jsonl: no records"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    directory(tmp_path)
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(TaskError, match=message):
        load_task(tmp_path, template="{text}:", label_words=["neg", "pos"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,0\nb,1,2\n", r"train\.csv, line 3: got 3 cells, more than"),
        ("text,label\na,0\nb\n", r"train\.csv, line 3: no label"),
        ('text,label\n"a\nb",0\n\nb,x\n', r"train\.csv, line 5: unknown label 'x'"),
        ('text,label\na,0\n"b,1\n', r"train\.csv, line 3: not CSV"),
        ("text,label\na,0\nb,x\n", r"train\.csv, line 3: unknown label 'x'"),
    ],
)
def test_bad_csv_rows_are_named(tmp_path: Path, content: str, message: str) -> None:
    directory(tmp_path, ".csv", CSV)
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(TaskError, match=message):
        load_task(tmp_path, template="{text}:", label_words=["neg", "pos"])


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n')
    assert read_rows(tmp_path / "a.jsonl").records == [(1, {"text": "a"})]


@pytest.mark.parametrize(("name", "message"), [("a.txt", "got a file of type '.txt'"), ("a.jsonl", "no such file")])
def test_unreadable_files(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        read_rows(tmp_path / name)


def test_a_missing_or_doubled_split(tmp_path: Path) -> None:
    directory(tmp_path)
    (tmp_path / "test.csv").write_text(CSV)
    with pytest.raises(TaskError, match=r"got \['test.jsonl', 'test.csv'\] for the test split"):
        load_task(tmp_path)
    (tmp_path / "test.csv").unlink()
    (tmp_path / "test.jsonl").rename(tmp_path / "dev.jsonl")
    with pytest.raises(TaskError, match=r"got no file for the test split.*holds \['dev.jsonl', 'train.jsonl'\]"):
        load_task(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"template": "T: {text} L:", "label_words": {"pos": "good", "neg": "bad"}, "name": "mine"}', None),
        ('{"templte": "x"}', r"task\.json: got \['templte'\]"),
        ("[1]", r"task\.json: got list"),
        ("{", r"task\.json: not JSON"),
    ],
)
def test_task_json(tmp_path: Path, content: str, expected: Any) -> None:
    directory(tmp_path)
    (tmp_path / "task.json").write_text(content)
    if expected is not None:
        with pytest.raises(TaskError, match=expected):
            load_task(tmp_path)
        return
    task = load_task(tmp_path)
    assert (task.name, task.template, task.label_words) == ("mine", "T: {text} L:", ["good", "bad"])
    assert [e.label for e in task.train] == [0, 1]
    assert load_task(tmp_path, template="X {text}").template == "X {text}"
