"""Von Oswald et al. 2023 and Zhang, Frei, Bartlett 2024: linear attention and gradient descent."""

from __future__ import annotations

from typing import Any

from ._paper import Asking, Paper, PaperClaim, Reading
from ._readings import identity, in_every_run, over_seeds

D, N = 5, 10
_SCALES = (0.5, 0.75, 1.25, 1.5)
Numbers = dict[str, Any]


def _prompts(points: Any = "normal", seed: int = 90, n: int = 1024) -> Any:
    from iclmech.functions import LinearRegression

    return LinearRegression(d=D, noise=0.0, points=points).prompts(n, N + 1, seed)


def _last(prompts: Any, a: Any, b: Any) -> float:
    """Squared prediction difference over d behind all pairs."""
    return float((a - b)[:, -1].square().mean() / prompts.d)


def _constructed(asking: Asking) -> Numbers:
    """The largest difference between the construction and the algorithm, over layers."""
    from iclmech.functions import linear_attention, predictors

    prompts, found = _prompts(n=64), {}
    for layers in (1, 2, 5):
        plain = linear_attention(layers, D, N, 0.3).answers(prompts)[:, -1]
        plus = linear_attention(layers, D, N, 0.3, 0.05).answers(prompts)[:, -1]
        found[f"gd {layers}"] = float((plain - predictors.gd(prompts, layers, 0.3)[:, -1]).abs().max())
        found[f"gd++ {layers}"] = float((plus - predictors.gd_plus_plus(prompts, layers, 0.3, 0.05)[:, -1]).abs().max())
    return found


def _trained(asking: Asking) -> list[Numbers]:
    """One layer from several seeds: its rate, its distance to a step of descent, its risk where inputs are scaled."""
    from iclmech.functions import optimal_eta, predictors, shifted_risk, train_linear_attention

    prompts, rows = _prompts(), []
    best = optimal_eta(D, N)
    for seed in range(asking.size(3, 5)):
        net = train_linear_attention(1, D, N, seed=seed, **asking.size({"steps": 700, "batch": 256}, {}))
        row: Numbers = {
            "eta": net.eta - best,
            "gd": _last(prompts, net.answers(prompts), predictors.gd(prompts, 1, best)),
        }
        for scale in (1.0, *_SCALES):
            shifted = prompts.scaled(x=scale)
            risk = float((net.answers(shifted) - shifted.targets)[:, -1].square().mean() / D)
            row[f"risk {scale:g}"], row[f"theory {scale:g}"] = risk, shifted_risk(scale, net.eta, D, N)
        rows.append(row)
    return rows


def _deep(asking: Asking) -> list[Numbers]:
    """Two layers that share their weights: nearer to GD++ or to GD?"""
    from iclmech.functions import best_rates, predictors, train_linear_attention

    prompts, rows = _prompts("uniform"), []
    (eta, _), (eta_plus, gamma) = (best_rates(2, D, N, plus_plus=plus, points="uniform") for plus in (False, True))
    references = predictors.gd(prompts, 2, eta), predictors.gd_plus_plus(prompts, 2, eta_plus, gamma)
    for seed in range(asking.size(3, 3)):
        net = train_linear_attention(2, D, N, seed=seed, **asking.size({"steps": 800, "batch": 128}, {}))
        answers = net.answers(prompts)
        gd, plus = (_last(prompts, answers, r) for r in references)
        rows.append({"gd": gd, "gd++": plus})
    return rows


def _largest(start: str):
    return lambda found: identity(max(v for k, v in found.items() if k.startswith(f"{start} ")))


def _column(name: str):
    return lambda rows: over_seeds([row[name] for row in rows])


def _nearer(rows: list[Numbers]) -> Reading:
    ratio = [row["gd"] / row["gd++"] for row in rows]
    return in_every_run(ratio, [r > 5 for r in ratio], "more than 5 times nearer")


def _relative(rows: list[Numbers]) -> Reading:
    """The largest relative difference between risk and closed form over the scales, one for each seed."""
    return over_seeds([max(abs(r[f"risk {s:g}"] / r[f"theory {s:g}"] - 1) for s in _SCALES) for r in rows])


def _breaks(rows: list[Numbers]) -> Reading:
    return over_seeds([row["risk 1.5"] - row["risk 1"] for row in rows])


_BUILT: dict[str, Any] = {
    "unit": "largest absolute difference",
    "rule": "below",
    "margin": 1e-10,
    "control": "float64 rounding",
}

VON_OSWALD = Paper(
    name="vonoswald2023",
    title="Transformers Learn In-Context by Gradient Descent",
    authors="von Oswald, Niklasson, Randazzo, Sacramento, Mordvintsev, Zhmoginov, Vladymyrov",
    year=2023,
    arxiv="2212.07677",
    about="Linear attention on noiseless linear regression, d = 5, 10 pairs.",
    claims=(
        PaperClaim("A layer of linear attention can be a step of gradient descent, exactly", run="construction", read=_largest("gd"),
                   effect="construction less descent", **_BUILT),
        PaperClaim("Layers of linear attention can be steps of GD++, exactly", run="construction", read=_largest("gd++"),
                   effect="construction less GD++", **_BUILT),
        PaperClaim(
            "Trained linear attention answers like one step of gradient descent",
            run="one layer", read=_column("gd"), effect="squared prediction difference to the best step", unit="squared difference / d",
            rule="below", margin=0.005, control="gradient descent at the best rate", otherwise="training for longer",
        ),
        PaperClaim(
            "Two trained layers answer like GD++ rather than like gradient descent",
            run="two layers", read=_nearer, effect="distance to GD over distance to GD++", unit="ratio", rule="the experiment's own",
            control="two steps of gradient descent at the best rate", otherwise="training for longer: few steps reach neither",
        ),
    ),
    runs={"construction": _constructed, "one layer": _trained, "two layers": _deep},
)  # fmt: skip

ZHANG = Paper(
    name="zhang2024",
    title="Trained Transformers Learn Linear Models In-Context",
    authors="Zhang, Frei, Bartlett",
    year=2024,
    arxiv="2306.09927",
    about="Linear attention on noiseless linear regression, d = 5, 10 pairs; inputs are scaled after training.",
    claims=(
        PaperClaim(
            "Trained linear attention finds the best step of gradient descent",
            run="one layer", read=_column("eta"), effect="learned rate less N / (N + d + 1)", unit="learning rate", rule="within",
            margin=0.03, control="the optimum in closed form", otherwise="training for longer",
        ),
        PaperClaim(
            "A shift of the covariates breaks what it learned",
            run="one layer", read=_breaks, effect="risk with inputs 1.5 times as long, less the risk as trained", unit="risk / d",
            margin=0.1, control="inputs as in training",
        ),
        PaperClaim(
            "The risk under a shift follows its closed form",
            run="one layer", read=_relative, effect="largest relative difference over four scales", unit="share", rule="below",
            margin=0.2, control="the closed form at the learned rate",
        ),
    ),
    runs={"one layer": _trained},
)  # fmt: skip
