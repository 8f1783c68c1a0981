"""What is known of a paper: its claims as data, and which experiment asks each of them.

    runs["orders"] ──► an experiment, called ──► Result ──► claim.read ──► Reading (the number) ──► verdict by the rule

Nothing is measured here. The rule and its margin stand in the paper's file before anything is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from iclmech._base import Verdict

if TYPE_CHECKING:
    from iclmech.models import ICLModel

Source = Literal["paper", "ours"]
Rule = Literal["above", "below", "within", "the experiment's own", "descriptive"]
NAN = float("nan")


@dataclass(frozen=True)
class Reading:
    """The number that a claim rests on, as it was found in a result.

    Attributes:
        measured, low, high: the number and its interval; NaN where there is none.
        n: independent units (seeds, prompts) behind the interval; what has fewer than three carries no verdict.
        p: of the number against zero, two-sided and uncorrected, where the experiment knows it.
        verdict: the experiment's own, for claims that are judged by the experiment's own rule.
        rule: that rule.
        control: what it was held against, where this is known only afterwards.
        note: what a reader of the row should know.
        why_not: why the claim cannot be asked of this model after all.
        barred: why no verdict may rest on it; empty where one may.
        exact: an identity: nothing is random in it, so that it needs no interval.
    """

    measured: float | int
    low: float | int = NAN
    high: float | int = NAN
    n: int = 0
    p: float | int = NAN
    verdict: Verdict | None = None
    rule: str = ""
    control: str = ""
    note: str = ""
    why_not: str = ""
    barred: str = ""
    exact: bool = False


@dataclass(frozen=True)
class PaperClaim:
    """One claim of a paper, or one of ours beside it.

    Attributes:
        claim: in our words, in the affirmative.
        run: the name of the run that asks it; empty where it cannot be asked here.
        read: picks the number out of that run's result.
        effect: what the number is.
        unit: of the number.
        control: what it is held against.
        rule: "above": holds where the interval lies above the margin; "below": where it lies below; "within": where it lies
            inside ± margin; or the experiment's own; or descriptive, without a verdict.
        margin: δ, in the unit.
        source: whose claim it is.
        otherwise: what would have to differ for it to hold, said where it does not.
        why_not: why it cannot be asked here.
    """

    claim: str
    run: str = ""
    read: Callable[[Any], Reading] | None = None
    effect: str = ""
    unit: str = ""
    control: str = ""
    rule: Rule = "above"
    margin: float | int = 0.0
    source: Source = "paper"
    otherwise: str = ""
    why_not: str = ""

    @property
    def rule_text(self) -> str:
        """The rule in words."""
        delta = f"δ = {self.margin:g}"
        return {
            "above": f"holds where the corrected interval lies above {delta}, does not where it lies below",
            "below": f"holds where the corrected interval lies below {delta}, does not where it lies above",
            "within": f"holds where the corrected interval lies inside ± {delta}, does not where it lies outside",
        }.get(self.rule, self.rule)


@dataclass(frozen=True)
class Paper:
    """A paper, its claims and the runs that ask them.

    Attributes:
        name: how commands and files call it: first author and year.
        title, authors, year, arxiv: where the claims come from; no arXiv number where there is none.
        claims: in reading order.
        runs: name → function of `Asking` that calls one experiment and returns its result (or several, as a dict).
        model: the model that is asked unless another one is named; empty: it trains its own nets or has its own learners, and
            takes no other.
        about: one sentence on what is asked here, and what stands in for what.
    """

    name: str
    title: str
    authors: str
    year: int
    claims: tuple[PaperClaim, ...]
    runs: Mapping[str, Callable[[Asking], Any]] = field(default_factory=dict)
    arxiv: str = ""
    model: str = ""
    about: str = ""

    @property
    def asked(self) -> int:
        """Number of the claims that can be asked here."""
        return sum(bool(claim.run) for claim in self.claims)


class Asking:
    """What a run is given: the model, and how much may be spent.

    Args:
        name: of the model; empty where the paper needs none.
        quick: at most 25 CPU-seconds in all: small numbers of queries, short trainings.
        model: the model itself, where it was handed over.
        request: where device, and a task in the place of the paper's own choice, are named.
    """

    def __init__(self, name: str = "", quick: bool = False, model: Any = None, request: Any = None):
        self.name, self.quick = name, quick
        self.device, self.own_task, self.data = (getattr(request, field, None) for field in ("device", "task", "data"))
        self._model = model

    @property
    def model(self) -> ICLModel:
        """The model, loaded once."""
        if self._model is None:
            from iclmech.models import load_model

            self._model = load_model(self.name, device=self.device)
        return self._model

    @property
    def small(self) -> bool:
        """Whether it is a model of icl-mini's kind, which knows the words of the mini/ tasks only."""
        return self.name.rpartition("/")[2].startswith("icl-mini") or "mini/" in getattr(self._model, "name", "")

    def size(self, quick: Any, full: Any) -> Any:
        """One of two sizes."""
        return quick if self.quick else full

    def task(self, mini: str, other: str) -> str:
        """A task that the model can read: one of icl-mini's own, or one in English."""
        return self.own_task or (mini if self.small else other)
