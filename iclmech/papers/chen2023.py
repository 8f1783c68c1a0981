"""Chen, Weiss, Mitchell, Celikyilmaz, Bosselut 2023 (RECKONING): facts learned by inner gradient steps."""

from __future__ import annotations

from typing import Any

from iclmech._base import Result

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, unpaired, valued

_PAIRED: dict[str, Any] = {"effect": "accuracy, paired by set of facts", "unit": "accuracy"}


def _robust(result: Result) -> Reading:
    """What distracting facts cost as context, less what they cost as an update, from accuracies of the same hops."""
    import numpy as np

    data = result.data["accuracy"].sel(hops=1)
    lost = {w: float(data.sel(way=w, things=1)) - float(data.sel(way=w, things=4)) for w in ("icl", "ft:gd")}
    cost = unpaired(
        result,
        ("accuracy", {"way": "icl", "hops": 1, "things": 1}),
        ("accuracy", {"way": "icl", "hops": 1, "things": 4}),
    )
    other = unpaired(
        result,
        ("accuracy", {"way": "ft:gd", "hops": 1, "things": 1}),
        ("accuracy", {"way": "ft:gd", "hops": 1, "things": 4}),
    )
    value = lost["icl"] - lost["ft:gd"]
    return (
        Reading(value, cost.low - other.high, cost.high - other.low, cost.n, note=cost.note)
        if np.isfinite(value)
        else Reading(value)
    )


PAPER = Paper(
    name="chen2023",
    title="RECKONING: Reasoning through Dynamic Knowledge Encoding",
    authors="Chen, Weiss, Mitchell, Celikyilmaz, Bosselut",
    year=2023,
    arxiv="2305.06349",
    model="icl-mini",
    about="The paper trains its model so that inner steps work; here the model is as it was, and steps are of first order.",
    claims=(
        PaperClaim("Facts as gradient steps answer questions about them", run="facts", read=valued(claimed("GD teaches its facts (1 hop, 0 distracting")),
                   control="steps on another set of facts", **_PAIRED),
        PaperClaim("Facts in context answer questions about them", run="facts", read=valued(claimed("context teaches its facts (1 hop, 0 distracting")),
                   control="another set of facts in context", source="ours", **_PAIRED),
        PaperClaim("Facts as steps answer as well as facts in context", run="facts",
                   read=valued(claimed("answered better than by GD (1 hop, 0 distracting")), rule="below", margin=0.05,
                   control="facts in context", otherwise="meta-training, which the paper's claim is about", **_PAIRED),
        PaperClaim("Distracting facts cost more in context than as steps", run="facts", read=_robust, effect="accuracy lost in context less that lost as steps",
                   unit="accuracy", control="sets of one fact"),
    ),
    runs={
        "facts": call("facts", quick={"n_episodes": 24, "n_held_out": 2, "rates": (0.003, 0.03), "hops": (1,), "steps": 2}, full={}, updates=("gd",)),
    },
)  # fmt: skip
