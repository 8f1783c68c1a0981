"""What the command line can ask of the experiments: plain values only, so that `--help` needs neither torch nor a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iclmech._base import ICLMechError

if TYPE_CHECKING:
    from ._inference_circuit._result import Circuit
    from .comparison._result import Comparison


@dataclass(frozen=True)
class CompareConfig:
    """In-context learning beside weight updates from the same demonstrations, with controls.

    The same arguments as `iclmech.compare`, as plain values.
    """

    model: str = "icl-mini"
    """A shipped model, a directory in Hugging Face format, or a name on the hub."""
    task: str = "mini/sentiment"
    """A shipped task, a preset (with --data), a directory or a file of records."""
    data: str = ""
    """Directory with train.jsonl and test.jsonl for a preset; empty: none."""
    k: int = 32
    """Demonstrations per prompt."""
    n_queries: int = 256
    """Queries, the same for every seed."""
    updates: str = "gd,lcgd"
    """Updates, separated by commas: gd, lcgd, lcgd_bottom_up."""
    seeds: int = 3
    """Draws of demonstrations."""
    lr: str = "auto"
    """auto, a number, or numbers separated by commas (all are kept)."""
    controls: str = "all"
    """all, essential, none, or names separated by commas."""
    preset: str = ""
    """deutch2024 follows the published protocol; empty: none."""
    loss: str = ""
    """label or all: the tokens that the updates learn from; empty: label, or the preset's."""
    position: str = ""
    """prediction or label: where states are read; empty: prediction, or the preset's."""
    wrong_task: str = ""
    """Task of the wrong-task control; empty: another shipped one beside a shipped task, else none."""
    wrong_data: str = ""
    """Records of that task, as with --data."""
    separator: str = ""
    """After each demonstration (\\n for a line break, <eos> for end-of-text); empty: the task's own, or the preset's."""
    parameters: str = "attn_kv"
    """attn_kv, attn_v or all: what the updates train."""
    selection: str = "random"
    """random or balanced: how demonstrations are drawn."""
    embeddings: str = "keep"
    """keep or fresh: embeddings of the untrained models."""
    match_positions: bool = False
    """Place zero-shot queries at the positions that they have behind the demonstrations."""
    n_boot: int = 1000
    """Resamples of the bootstrap."""
    keep_queries: bool = False
    """Keep every measure by query as well."""
    device: str = ""
    """cpu, cuda, ...; empty: a GPU if there is one."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> Comparison:
        """Load, compare, return. Raises what `load_model`, `load_task` and `compare` raise."""
        from iclmech.models import load_model
        from iclmech.tasks import load_task

        from .comparison._protocol import compare

        return compare(
            load_model(self.model, device=self.device or None),
            load_task(self.task, data=self.data or None),
            k=self.k,
            n_queries=self.n_queries,
            updates=_names(self.updates),
            seeds=self.seeds,
            lr=_rates(self.lr),
            controls=_names(self.controls) if "," in self.controls else self.controls,
            preset=self.preset or None,
            loss=self.loss or None,  # type: ignore[arg-type]  # compare says which values there are
            position=self.position or None,  # type: ignore[arg-type]  # the same
            wrong_task=load_task(self.wrong_task, data=self.wrong_data or None) if self.wrong_task else None,
            separator=self.separator.replace("\\n", "\n").replace("\\t", "\t") or None,
            parameters=self.parameters,  # type: ignore[arg-type]
            selection=self.selection,  # type: ignore[arg-type]
            embeddings=self.embeddings,  # type: ignore[arg-type]
            match_positions=self.match_positions,
            n_boot=self.n_boot,
            keep_queries=self.keep_queries,
            progress=not self.quiet,
        )


@dataclass(frozen=True)
class CircuitConfig:
    """The inference circuit: its three steps measured, then cut, against controls.

    The same arguments as `iclmech.inference_circuit`, as plain values.
    """

    model: str = "icl-mini"
    """A shipped model, a directory in Hugging Face format, or a name on the hub."""
    task: str = "mini/held-pair"
    """A shipped task, a preset (with --data), a directory or a file of records."""
    data: str = ""
    """Directory with train.jsonl and test.jsonl for a preset; empty: none."""
    k: int = 32
    """Demonstrations per prompt."""
    n_queries: int = 128
    """Queries per seed."""
    n_contexts: int = 4
    """Demonstration sets per seed."""
    seeds: int = 3
    """Draws of demonstrations and queries."""
    device: str = ""
    """cpu, cuda, ...; empty: a GPU if there is one."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> Circuit:
        """Load, measure, cut, return. Raises what `load_model`, `load_task` and `inference_circuit` raise."""
        from iclmech.models import load_model
        from iclmech.tasks import load_task

        from ._inference_circuit._protocol import inference_circuit

        return inference_circuit(
            load_model(self.model, device=self.device or None),
            load_task(self.task, data=self.data or None),
            k=self.k,
            n_queries=self.n_queries,
            n_contexts=self.n_contexts,
            seeds=self.seeds,
            progress=not self.quiet,
        )


@dataclass(frozen=True)
class TrainMiniConfig:
    """Train a model of icl-mini's kind, or measure one.

    The same arguments as `iclmech.experiments.mini.train_mini`, as plain values.
    """

    out: Path = Path("runs/icl-mini")
    """Directory of the run: model/, checkpoints/, history.json and the state to go on from."""
    recipe: str = "full"
    """full, quick (in-context learning emerges within ten minutes on one core), or a TOML file."""
    seed: int = 0
    """Of initialisation and data."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU if there is one."""
    resume: bool = True
    """Go on with the run in --out if there is one."""
    threads: int = 1
    """CPU threads; a model of this size gains nothing from more than one."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> Path:
        """Train, and return the directory of the exported model. Raises what `train_mini` raises."""
        from .mini import train_mini

        return train_mini(
            self.recipe, self.out, self.seed, self.device, self.resume, progress=not self.quiet, threads=self.threads
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _rates(text: str) -> str | float | tuple[float, ...]:
    if text == "auto":
        return text
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ICLMechError(f"got lr={text!r}; expected auto, a number, or numbers separated by commas.") from None
    return rates[0] if len(rates) == 1 else rates
