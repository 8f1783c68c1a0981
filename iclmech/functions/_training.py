"""`train`: a learner of functions from its recipe to the exported model, resumable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from iclmech._base import atomic_write, rng
from iclmech.training import (
    Run,
    SmallGPT2,
    build_optimizers,
    export_gpt2,
    resume,
    save_run,
    soft_rows,
    train as run_training,
)

from ._family_names import family_of
from ._recipe import FunctionRecipe, recipe_of
from ._vocabulary import vocabulary_of

_BLOCK = 16  # steps whose prompts are drawn together
_AWAY = 1_000_003  # seeds of training stand away from those of evaluation, which are small


class FunctionBatches:
    """The batches of a recipe: a function of (recipe, seed, step), so that a run resumes anywhere."""

    def __init__(self, recipe: FunctionRecipe, seed: int):
        self.recipe, self.seed, self.step = recipe, seed, 0
        self.families = [family_of(text) for text in recipe.families]
        self._block: tuple[int, list[Any]] = (-1, [])

    def __iter__(self) -> FunctionBatches:
        return self

    def __next__(self) -> list[Any]:
        """Prompts of each family for one step."""
        if self.step >= self.recipe.steps:
            raise StopIteration
        number, place = divmod(self.step, _BLOCK)
        share = self.recipe.batch // len(self.families)
        if self._block[0] != number:
            seed = _AWAY * (self.seed + 1) + number
            drawn = [f.prompts(share * _BLOCK, self.recipe.n_examples, seed) for f in self.families]
            self._block = (number, drawn)
        self.step += 1
        return [prompts[share * place : share * (place + 1)] for prompts in self._block[1]]

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.step = int(state["step"])


def function_loss(net: SmallGPT2, batches: Sequence[Any]) -> dict[str, Tensor]:
    """The mean over all prefixes of the loss of what comes next: squared error / d, or cross-entropy in nats."""
    losses = torch.stack([_loss(net, prompts) for prompts in batches])
    return {"loss": losses.mean()}


def _loss(net: SmallGPT2, prompts: Any) -> Tensor:
    if prompts.family.kind == "symbols":
        logits = net.logits(net(net.embed(F.pad(prompts.tokens + 1, (1, 0), value=0)))[:, 1:])
        return F.cross_entropy(logits.flatten(0, 1), prompts.y.long().flatten() + 1)
    found = answers(net, prompts.x, prompts.y)
    y = prompts.y.to(found)
    if prompts.family.kind == "binary":
        return F.binary_cross_entropy_with_logits(found, y)
    return (found - y).square().mean() / prompts.x.shape[-1]


def answers(net: SmallGPT2, x: Tensor, y: Tensor) -> Float[Tensor, "prompt prefix"]:
    """The score of `y` at every point: what the net predicts from the pairs before it."""
    rows = soft_rows(net.model.embed_tokens.weight, x, y)[:, :-1]
    bos = net.model.embed_tokens.weight[:1].expand(len(rows), 1, -1)
    return net.logits(net(torch.cat([bos, rows], 1))[:, 1::2])[..., -1]


def start(recipe: FunctionRecipe, seed: int) -> Run:
    """A run at step 0, drawn from the seed."""
    batches = FunctionBatches(recipe, seed)
    words = vocabulary_of(batches.families[0])
    soft = words[-1] == "y"
    net = SmallGPT2(recipe.net, len(words), rng(seed, "functions/init"), soft)
    optimizers = build_optimizers(net, "muon", lr=recipe.lr_adam, lr_muon=recipe.lr_muon)
    return Run(
        net, optimizers, batches, function_loss, recipe.rate, recipe.clip, f"{recipe.name}, seed {seed}: {recipe!r}"
    )


def train(
    recipe: str | Path | FunctionRecipe = "linear",
    out: str | Path = "runs/linear",
    seed: int = 0,
    *,
    progress: bool = False,
    max_steps: int | None = None,
) -> Path:
    """Train a learner and export it. An interrupted run goes on from its last checkpoint, bit for bit.

    Args:
        recipe: name of a shipped recipe ("linear", "pool8", "mixture", "conjunctions", "representation", "automata"), a
            path of a TOML file, or a `FunctionRecipe`.
        out: directory of the run.
        seed: of the weights and of the prompts.
        progress: show a bar on standard error.
        max_steps: stop after that many steps of this call.

    Returns:
        `out/model`, a directory in Hugging Face format: an ordinary GPT-2 over soft tokens, which `iclmech.load_model`
        takes. Beside it `history.json`, and `snapshots/step-N` where the recipe asks for them.

    Raises:
        TaskError: no such recipe or family.
        ModelError: `out` holds the run of another recipe or seed.

    Source: Garg et al. 2022 (arXiv 2208.01066) train on all prefixes at once; the optimiser is Muon (Jordan et al. 2024).
    """
    chosen, folder = recipe_of(recipe), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    run, state = start(chosen, seed), folder / "state.pt"
    if state.is_file():
        run = resume(run, state)
    words = vocabulary_of(run.batches.families[0])  # type: ignore[attr-defined]  # of `start`

    def save(run: Run) -> None:
        if run.step in chosen.snapshots:
            export_gpt2(run.module, folder / "snapshots" / f"step-{run.step}", words)
        history = {"recipe": asdict(chosen), "seed": seed, "rows": run.history}
        with atomic_write(folder / "history.json") as temporary:
            temporary.write_text(json.dumps(history) + "\n")
        save_run(run, state)

    def due(step: int) -> bool:
        return step % chosen.every == 0 or step in chosen.snapshots

    run_training(run, max_steps, save=save, at=due, progress=progress, total=chosen.steps - run.step)
    save(run)
    return export_gpt2(run.module, folder / "model", words)
