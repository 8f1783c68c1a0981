"""What `reproduce` can be asked, as plain values, and the experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from iclmech.experiments import Experiment, Request


@dataclass(frozen=True)
class ReproduceRequest(Request):
    """The claims of a paper on the model at hand, each with a rule that was fixed beforehand."""

    positional: ClassVar[tuple[str, ...]] = ("name",)
    name: str = "dai2023"
    """A paper, as iclmech papers lists them."""
    model: str | None = None
    """What is asked; by default the paper's own choice. Papers that train their own nets take none."""
    task: str | None = None
    """A task in the place of the paper's own choice: a preset (with --data), a directory or a file of records."""
    data: str | None = None
    """Directory with train.jsonl and test.jsonl for a preset."""
    quick: bool = False
    """At most 25 CPU-seconds; with fewer than three seeds no claim is made."""
    device: str | None = None
    """cpu, cuda, ...; by default a GPU if there is one."""

    @property
    def folder(self) -> str:
        """A directory of its own for every paper and model, below that of the command."""
        model = (self.model or "").rstrip("/").rpartition("/")[2]
        return "-".join(filter(None, [self.name, model, "quick" if self.quick else ""]))


REPRODUCE = Experiment(
    name="reproduce",
    request=ReproduceRequest,
    protocol="iclmech.papers._reproduce:run_paper",
    title="What a paper claims, asked here: one row for each claim, with its control and its verdict.",
    needs=(),
    result="iclmech.papers._reproduction:Reproduction",
    figures="iclmech.figures._by_kind:reproduction_figures",
    page="iclmech.report.pages.reproduce:PAGE",
    keeps=True,
)
