"""Kirsch, Harrison, Sohl-Dickstein, Metz 2022: from memorising tasks to learning to learn."""

from __future__ import annotations

from typing import Any

from ._calls import call, each
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, over_seeds


def _width(results: Any) -> Reading:
    """Accuracy on new tasks of the wide net less that of the narrow one, seed by seed."""
    narrow, wide = (r.data["accuracy"].sel(test_set="unseen").isel(n_tasks=-1).values for r in results.values())
    return over_seeds(wide - narrow)


PAPER = Paper(
    name="kirsch2022",
    title="General-Purpose In-Context Learning by Meta-Learning Transformers",
    authors="Kirsch, Harrison, Sohl-Dickstein, Metz",
    year=2022,
    arxiv="2212.04458",
    about="Random projections and permuted labels make tasks, of vectors in the place of images.",
    claims=(
        PaperClaim(
            "Few tasks are memorised and new ones are not learned",
            run="tasks", read=claimed("are memorised, new ones are not learned"), effect="accuracy on new tasks", unit="accuracy",
            rule="the experiment's own", control="memory of the tasks seen",
        ),
        PaperClaim(
            "Many tasks are not memorised and new ones are learned in context",
            run="tasks", read=claimed("are not memorised, new ones are learned"), effect="accuracy on new tasks", unit="accuracy",
            rule="the experiment's own", control="memory of the tasks seen",
        ),
        PaperClaim(
            "A wider state learns new tasks that a narrow one does not (bottleneck in state size)",
            run="width", read=_width, effect="accuracy on new tasks, width 32 less width 8", unit="accuracy", margin=0.05,
            control="a narrow net", otherwise="a longer training of the narrow net, or more pairs to remember",
        ),
        PaperClaim(
            "Biased distributions of training tasks help over the plateau",
            why_not="the world of tasks has no knob for a biased distribution of tasks",
        ),
    ),
    runs={
        "tasks": call("number-of-tasks", quick={"n_tasks": (16, 256), "steps": 850, "rows": 128}, full={"n_tasks": (4, 16, 64, 256), "seeds": 5}, seeds=3),
        "width": each(
            "net", ("net(d_model=8, heads=2, mlp=32)", "net(d_model=32, heads=2, mlp=128)"),
            ("net(d_model=8, heads=2, mlp=32)", "net(d_model=32, heads=2, mlp=128)"), call, "number-of-tasks",
            quick={"steps": 500, "rows": 128}, full={"seeds": 5}, n_tasks=(256,), seeds=3,
        ),
    },
)  # fmt: skip
