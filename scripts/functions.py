"""Trains every recipe and holds the learners against exact predictors: `python scripts/functions.py [OUT] [SEED …]`.

Runs are resumable. What each result says is printed and written to OUT/answers.txt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import iclmech as icl

LINEAR = "LinearRegression(d=5, noise=0.5)"


def main(out: Path, seeds: list[int]) -> None:
    """Train, then ask."""
    learners = {}
    for seed in seeds:
        for name in icl.functions.list_recipes():
            learners[name, seed] = str(icl.functions.train(name, out / f"{name}-{seed}", seed, progress=True))
    results = []
    for (name, seed), model in learners.items():
        recipe = icl.functions.recipe_of(name)
        other = learners.get((name, seed + 1), "")
        for family in recipe.families:
            found = icl.functions.compare_predictors(model, family, n_examples=recipe.n_examples, second=other)
            results.append((f"{name}, seed {seed}: {family}", found))
    for seed in seeds[:2]:  # two learners, twenty tasks, a grid of rates
        found = icl.functions.compare_updates(learners["linear", seed], LINEAR, seeds=20)
        results.append((f"linear, seed {seed}: updates", found))
    with (out / "answers.txt").open("w") as file:
        for number, (title, result) in enumerate(results):
            result.save(out / f"result-{number}.nc")
            text = "\n".join([f"## {title}", *result.answer(), ""])
            print(text)
            file.write(text + "\n")


if __name__ == "__main__":
    where, *which = sys.argv[1:] or ["runs/functions"]
    main(Path(where), [int(seed) for seed in which] or [0, 1, 2])
