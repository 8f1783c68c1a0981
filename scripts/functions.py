"""Trains every recipe and asks the learners everything: `python scripts/functions.py [OUT] [SEED …] [--only NAME …]`.

Runs and results are kept in OUT: what is there is not done again. What each result says is printed and written to
OUT/answers.md. `--only` takes recipes ("pool256") and results ("pasting"); a result whose learners were not trained takes
the shipped ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import iclmech as icl

LINEAR = "LinearRegression(d=5, noise=0.5)"
RATES = (0.005, 0.01, 0.02, 0.04)
Asked = tuple[str, str, Callable[[], Any]]
"""Name of the file, title, what to run."""


class Learners:
    """Directories of trained learners; the shipped one in the place of one that was not trained."""

    def __init__(self, out: Path, seeds: list[int]):
        self.out, self.seeds = out, seeds

    def path(self, recipe: str, seed: int) -> str:
        """Where a learner of that seed is, or "" where there is none."""
        own = self.out / f"{recipe}-{seed}" / "model"
        return str(own) if (own / "model.safetensors").is_file() else ""

    def one(self, recipe: str) -> str:
        """The learner of the first seed, or the shipped one."""
        return self.path(recipe, self.seeds[0]) or f"fn-{recipe}"


def predictors(learners: Learners) -> Iterator[Asked]:
    """Every learner on the families of its recipe, the next seed as the ceiling."""
    fn = icl.functions
    for recipe in map(fn.recipe_of, fn.list_recipes()):
        for at, seed in enumerate(learners.seeds):
            model = learners.path(recipe.name, seed)
            if not model:
                continue
            second = learners.path(recipe.name, learners.seeds[(at + 1) % len(learners.seeds)])
            second = "" if second == model else second
            for number, family in enumerate(recipe.families):
                yield (
                    f"predictors-{recipe.name}-{seed}-{number}",
                    f"{recipe.name}, seed {seed}, on {family}",
                    lambda m=model, f=family, n=recipe.n_examples, s=second: fn.compare_predictors(
                        m, f, n_examples=n, second=s
                    ),
                )


def experiments(learners: Learners) -> Iterator[Asked]:
    """One of each of the others; two learners where the answer might be one learner's own."""
    fn, first = icl.functions, learners.one
    linear, other = first("linear"), learners.path("linear", learners.seeds[-1]) or "fn-linear"
    yield "weights", "Implicit weights", lambda: fn.implicit_weights(linear, LINEAR)
    yield "probe-linear", "Probes, linear", lambda: fn.probe(linear, LINEAR)
    features = "Representation(d=5, noise=0.5)"
    yield "probe-representation", "Probes, representation", lambda: fn.probe(first("representation"), features)
    yield "shifts", "Out of distribution", lambda: fn.out_of_distribution(linear, LINEAR)
    yield "regret", "Regret", lambda: fn.regret(first("pool8"), f"TaskPool(base={LINEAR}, n_tasks=8)")
    pools = [
        (name, size)
        for name, size in (("pool8", 8), ("pool256", 256))
        if size == 8 or learners.path(name, learners.seeds[0])
    ]
    yield "diversity", "Task diversity", lambda: fn.task_diversity([first(n) for n, _ in pools], [m for _, m in pools])
    yield "heads", "n-gram heads", lambda: fn.ngram_heads(first("automata"))
    yield "pasting", "Pasting", lambda: fn.pasting(first("representation"))
    for name, model, family in (
        ("linear", linear, LINEAR),
        ("linear-other", other, LINEAR),
        ("mixture", first("mixture"), "Mixture()"),
    ):
        if name != "linear-other" or other != linear:
            yield (
                f"updates-{name}",
                f"Updates, {name}",
                lambda m=model, f=family: fn.compare_updates(m, f, seeds=24, rates=RATES),
            )


def main(out: Path, seeds: list[int], only: list[str]) -> None:
    """Train, then ask."""
    for name in icl.functions.list_recipes():
        for seed in seeds:
            if not only or name in only:
                print(icl.functions.train(name, out / f"{name}-{seed}", seed, progress=True))
    learners, texts = Learners(out, seeds), []
    for name, title, run in (*predictors(learners), *experiments(learners)):
        if only and not any(name.startswith(prefix) for prefix in only):
            continue
        file = out / f"{name}.nc"
        result = icl.load(file) if file.is_file() else run()
        if not file.is_file():
            result.save(file)
        texts.append("\n".join([f"## {title}", "", *(f"* {line}" for line in result.answer()), ""]))
        print(texts[-1], flush=True)
    (out / "answers.md").write_text("\n".join(texts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/functions"))
    parser.add_argument("seeds", type=int, nargs="*")
    parser.add_argument("--only", nargs="+", default=[])
    given = parser.parse_args()
    main(given.out, given.seeds or [0, 1, 2], given.only)
