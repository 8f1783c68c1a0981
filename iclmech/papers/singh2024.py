"""Singh, Moskovitz, Hill, Chan, Saxe 2024: what an induction head needs, by clamping parts of it in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._calls import call
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, in_every_run, over_seeds


def _saved(more: str, less: str) -> Callable[[Any], Reading]:
    """Steps to the loss under one clamp less those under another, seed by seed; who never got there counts with the last step."""

    def read(result: Any) -> Reading:
        import numpy as np

        last, condition = float(result.data["loss_step"].values[-1]), result.data["condition"].values
        times = {name: result.data["steps_to_level"].values[condition == name] for name in (more, less)}
        never = {name: int(np.isnan(values).sum()) for name, values in times.items()}
        saved = np.nan_to_num(times[less], nan=last) - np.nan_to_num(times[more], nan=last)
        said = [
            f"{n} of {len(saved)} under {name} did not get there, and count with the last step"
            for name, n in never.items()
            if n
        ]
        return over_seeds(saved, note="; ".join(said))

    return read


def _rises_together(history: Any) -> Reading:
    table = history.transitions()
    apart = (table["accuracy_half"] - table["target_to_right_half"]).to_numpy()
    return in_every_run(
        apart,
        abs(apart) <= 0.25 * table["accuracy_half"].to_numpy(),
        "half-rises within a quarter of the steps until then",
    )


def _additive(history: Any) -> Reading:
    """Matching attention beyond uniform of the second best head of the last layer, at the end."""
    last = history.data["attention"].sel(measure="target_to_right").isel(layer=-1, step=-1)
    second = sorted_heads(last.values)[:, 1] - float(history.data["uniform"].sel(measure="target_to_right"))
    return over_seeds(second)


def sorted_heads(values: Any) -> Any:
    """Heads of each run, the strongest first."""
    import numpy as np

    return -np.sort(-values, axis=-1)


PAPER = Paper(
    name="singh2024",
    title="What needs to go right for an induction head? A mechanistic study of in-context learning circuits and their formation",
    authors="Singh, Moskovitz, Hill, Chan, Saxe",
    year=2024,
    arxiv="2404.07129",
    about="Two-layer nets on classes of vectors (a quick run) or relabelled ones; clamps give a part of the circuit from the first step on.",
    claims=(
        PaperClaim(
            "Learning waits on a plateau and then comes at once",
            run="training", read=claimed("The rise is abrupt"), effect="steps before the rise less steps of the rise", unit="steps",
            rule="the experiment's own", control="steps of the rise",
        ),
        PaperClaim(
            "Induction strength rises with the accuracy",
            run="training", read=_rises_together, effect="half-rise of accuracy less that of matching attention", unit="steps",
            rule="the experiment's own", control="half-rise of accuracy",
        ),
        PaperClaim(
            "A given match shortens the plateau",
            run="clamps", read=_saved("match", "none"), effect="steps to the loss that are saved", unit="steps", control="no clamp",
        ),
        PaperClaim(
            "A given copy shortens the plateau",
            run="clamps", read=_saved("copy", "none"), effect="steps to the loss that are saved", unit="steps", control="no clamp",
        ),
        PaperClaim(
            "A given previous token shortens the plateau",
            run="clamps", read=_saved("previous token", "none"), effect="steps to the loss that are saved", unit="steps", control="no clamp",
        ),
        PaperClaim(
            "A given match saves more than a given copy",
            run="clamps", read=_saved("match", "copy"), effect="steps to the loss that are saved", unit="steps", control="copy given",
        ),
        PaperClaim(
            "A given copy saves more than a given previous token",
            run="clamps", read=_saved("copy", "previous token"), effect="steps to the loss that are saved", unit="steps",
            control="previous token given",
        ),
        PaperClaim(
            "More than one head comes to match (additive heads)",
            run="heads", read=_additive, effect="attention to the right label beyond uniform, second head", unit="attention",
            margin=0.05, control="uniform attention", otherwise="longer training, with more heads",
        ),
        PaperClaim(
            "Three factors learned together are slow and abrupt; with two given the rest is fast",
            run="factors", read=claimed("b and c"), effect="share of seeds that are faster with two factors given", unit="share of seeds",
            rule="the experiment's own", control="none given",
        ),
    ),
    runs={
        "training": call("train", quick={"seeds": 3, "steps": 650, "rows": 128}, full={"seeds": 6, "steps": 1200}, world="classes"),
        "clamps": call(
            "clamped", quick={"world": "classes", "seeds": 3, "steps": 520, "evaluate": 260, "rows": 64, "level": 1.0},
            full={"world": "relabelled", "seeds": 5, "steps": 2400},
            conditions=("none", "match=match:1.0", "copy=copy:1.0", "previous token=previous_token:0.0"),
        ),
        "heads": call(
            "train", quick={"seeds": 3, "steps": 500, "rows": 64, "evaluate": 100}, full={"seeds": 6, "steps": 2400, "evaluate": 200},
            world="classes", net="net(heads=2)",
        ),
        "factors": call("three-factor"),
    },
)  # fmt: skip
