"""Records from Hugging Face `Dataset` objects and from the hub. Parquet only: no code from a repository is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iclmech._base import TaskError

from ._records import Rows

HUB_SUFFIX = "@refs/convert/parquet"
"""Branch of every public data set on the hub that holds it as parquet, made by the hub itself."""


class _Records(Sequence[dict[str, Any]]):
    """Rows of a `Dataset`, with columns renamed and class numbers given their names, one at a time."""

    def __init__(self, dataset: Any, columns: Mapping[str, str]) -> None:
        self._dataset, self._columns = dataset, columns
        source = next((old for old, new in columns.items() if new == "label"), "label")
        feature = (getattr(dataset, "features", None) or {}).get(source)
        self.names = list(getattr(feature, "names", None) or [])

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, row: Any) -> Any:
        record = {self._columns.get(key, key): value for key, value in self._dataset[row].items()}
        label = record.get("label")
        if isinstance(label, int) and "label_name" not in record and 0 <= label < len(self.names):
            record["label_name"] = self.names[label]
        return record

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))


def dataset_rows(dataset: Any, where: str, columns: Mapping[str, str]) -> Rows:
    """The records of one `Dataset`, counted from 0."""
    return Rows(where, list(enumerate(_Records(dataset, columns))), "row")


def dataset_splits(
    dataset: Any, test: Any = None, columns: Mapping[str, str] | None = None, name: str = "dataset"
) -> tuple[Rows, Rows]:
    """Train and test rows of a `DatasetDict` (test, else validation where test is absent or unlabelled) or two `Dataset`s.

    Raises:
        TaskError: not a data set, or a split is missing.
    """
    columns = columns or {}
    if isinstance(dataset, Mapping):
        if "train" not in dataset:
            raise TaskError(
                f"{name}: got the splits {list(dataset)}; expected 'train' and 'test'. Rename or split the data."
            )
        for split in ("test", "validation"):
            if split in dataset and not _unlabelled(dataset[split], columns):
                return dataset_rows(dataset["train"], f"{name}['train']", columns), dataset_rows(
                    dataset[split], f"{name}[{split!r}]", columns
                )
        raise TaskError(
            f"{name}: got the splits {list(dataset)}; expected a labelled 'test' or 'validation' beside 'train'. "
            "Split the data: dataset['train'].train_test_split(0.5, seed=0)."
        )
    if not hasattr(dataset, "features") or not hasattr(dataset, "__getitem__"):
        raise TaskError(
            f"got {type(dataset).__name__}; expected a datasets.Dataset or DatasetDict. Load one with `datasets`."
        )
    if test is None:
        raise TaskError(
            "got one Dataset; expected a second one for the test split, test=... "
            "Split the data: dataset.train_test_split(0.5, seed=0) and pass the result."
        )
    return dataset_rows(dataset, f"{name} (train)", columns), dataset_rows(test, f"{name} (test)", columns)


def _unlabelled(dataset: Any, columns: Mapping[str, str]) -> bool:
    source = next((old for old, new in columns.items() if new == "label"), "label")
    return source in dataset.column_names and len(dataset) > 0 and all(label == -1 for label in dataset[source])


def hub_splits(
    repo: str, config: str, splits: Mapping[str, str], columns: Mapping[str, str] | None = None
) -> tuple[Rows, Rows]:
    """Train and test rows of a data set on the Hugging Face hub, read from its parquet branch.

    Args:
        repo: e.g. `"stanfordnlp/sst2"`.
        config: configuration, `"default"` where the data set has only one.
        splits: `{"train": name of the split for demonstrations, "test": name of the split for queries}`.
        columns: columns to rename.

    Raises:
        TaskError: the hub cannot be reached or does not have it; the text says how to use local records.
    """
    import datasets

    files = {key: f"hf://datasets/{repo}{HUB_SUFFIX}/{config}/{split}/*.parquet" for key, split in splits.items()}
    try:
        loaded = datasets.load_dataset("parquet", data_files=files)
    except Exception as error:  # the hub's client has no common root of its errors
        raise TaskError(
            f"could not fetch {repo!r} (configuration {config!r}, splits {list(splits.values())}) from the Hugging Face hub: "
            f"{type(error).__name__}: {str(error)[:300]}. Without a connection, point to local records: "
            "load_task(name, data='directory with train.jsonl and test.jsonl')."
        ) from error
    return dataset_splits(loaded, None, columns, repo)
