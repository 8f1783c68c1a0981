"""The settings of `compare` as plain values: what the command line's flags are made from.

Fields are str, int, float and bool only, and nothing here imports torch, so that help answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._comparison import Comparison


@dataclass(frozen=True)
class CompareConfig:
    """In-context learning beside gradient descent on the same demonstrations, with controls. See `compare`."""

    model: str = "icl-mini"
    """Shipped name, local directory in Hugging Face format, or hub name."""
    task: str = "mini/sentiment"
    """Shipped or published task, directory with train.jsonl and test.jsonl, or hub name."""
    data: str = ""
    """Records of a published task: a directory or file. Empty: the hub."""
    k: int = 32
    """Demonstrations for each seed."""
    n_queries: int = 256
    """Queries, the same for every seed."""
    updates: str = "gd,lcgd"
    """Updates, joined by commas: gd, lcgd, lcgd_bottom_up."""
    seeds: int = 3
    """How many draws of demonstrations."""
    lr: str = "auto"
    """Learning rate: auto, a number, or a grid joined by commas."""
    controls: str = "all"
    """all, essential, none, or names joined by commas."""
    wrong_task: str = ""
    """Task of the wrong-task control. Empty: another shipped task beside a shipped one, else none."""
    wrong_task_data: str = ""
    """Records of that task, as with data."""
    preset: str = ""
    """deutch2024 follows the published protocol."""
    loss: str = ""
    """What the updates count: label or all tokens. Empty: label, or the preset's."""
    position: str = ""
    """Where states are read: prediction or label. Empty: prediction, or the preset's."""
    separator: str = "task"
    """After each demonstration: text (\\n for a line break), <eos>, or task for the task's own."""
    parameters: str = "attn_kv"
    """What the updates train: attn_kv, attn_v or all."""
    selection: str = "random"
    """How demonstrations are drawn: random or balanced."""
    embeddings: str = "keep"
    """Embeddings of the untrained models: keep or fresh."""
    match_positions: bool = False
    """Place zero-shot queries at the positions they have behind the demonstrations."""
    keep_queries: bool = False
    """Keep every measure by query as well."""
    n_boot: int = 1000
    """Resamples of the bootstrap."""
    device: str = ""
    """Device of the model, such as cpu or cuda. Empty: the default of load_model."""
    dtype: str = "float32"
    """Precision that the model computes in."""

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `compare`, besides model and task. Raises `CompareError` for a bad learning rate."""
        names = (
            "k",
            "n_queries",
            "seeds",
            "parameters",
            "selection",
            "embeddings",
            "match_positions",
            "keep_queries",
            "n_boot",
        )
        return {
            **{name: getattr(self, name) for name in names},
            "updates": _listed(self.updates),
            "lr": _rates(self.lr),
            "controls": self.controls if self.controls in ("all", "essential", "none") else _listed(self.controls),
            "preset": self.preset or None,
            "loss": self.loss or None,
            "position": self.position or None,
            "separator": None if self.separator == "task" else self.separator.replace("\\n", "\n").replace("\\t", "\t"),
        }


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _rates(text: str) -> Any:
    if text.strip() == "auto":
        return "auto"
    try:
        rates = [float(part) for part in _listed(text)]
    except ValueError:
        rates = []
    if not rates:
        from ._compare_plan import CompareError

        raise CompareError(
            f"got lr={text!r}; expected auto, a number, or numbers joined by commas such as 0.003,0.01,0.03."
        )
    return rates[0] if len(rates) == 1 else rates


def _dtype(name: str) -> Any:
    import torch

    dtypes = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in dtypes:
        from ._compare_plan import CompareError

        raise CompareError(f"got dtype={name!r}; expected one of {', '.join(dtypes)}.")
    return dtypes[name]


def compare_from_config(config: CompareConfig, progress: bool = True) -> Comparison:
    """Load model and task and run `compare`.

    Raises:
        ICLMechError: whatever is wrong with model, task or settings, in one sentence.
    """
    from iclmech.models import load_model
    from iclmech.tasks import load_task

    from ._compare import compare

    arguments = config.arguments()
    task = load_task(config.task, data=config.data or None)
    if config.wrong_task:
        arguments["wrong_task"] = load_task(config.wrong_task, data=config.wrong_task_data or None)
    model = load_model(config.model, device=config.device or None, dtype=_dtype(config.dtype))
    return compare(model, task, progress=progress, **arguments)
