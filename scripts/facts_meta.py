"""Can icl-mini be trained so that steps on facts teach them? First-order outer loop: `python scripts/facts_meta.py [OUT] [SECONDS]`.

Sixteen sets of facts at a time, each a net of its own in one stack: the steps of `facts` on the statements from shared weights, then
the gradient of the questions' loss at the weights so changed, averaged, as a step of Adam on the shared ones. OUT keeps weights and curve; a second call goes on from there, one with 0 SECONDS asks about sets of facts that were never drawn.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import iclmech as icl
from iclmech.tasks import build_facts
from iclmech.tasks._facts import PEOPLE, PLACES, THINGS
from iclmech.training import NetConfig, SmallNet

SETS, STEPS, OUTER, RATE = 16, 4, 1e-3, 0.1
LONGEST = 12
Weights = dict[str, Tensor]


class Facts:
    """Statements and questions as rows of tokens, padded at the end."""

    def __init__(self, model: icl.ICLModel) -> None:
        tokenizer: Any = model.tokenizer

        def encode(text: str) -> list[int]:
            return [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]

        self.encode = encode
        for context in build_facts(model, 4, 2, 2).contexts:
            if any(encode(f"{d.text} {d.label_word}".strip()) != d.tokens for d in context.demonstrations):
                raise ValueError("statements are not written as `build_facts` writes them")

    def draw(self, generator: np.random.Generator, hops: int, things: int) -> tuple[list[list[int]], list[list[int]]]:
        """(statements, questions with their answers) of one set."""
        chosen = generator.permutation(len(THINGS))[:things]
        people = generator.permutation(len(PEOPLE))[: things * (hops - 1)]
        statements, questions = [], []
        for t, thing in enumerate(chosen):
            chain = [f"the {THINGS[thing]}", *(PEOPLE[p] for p in people[t * (hops - 1) : (t + 1) * (hops - 1)])]
            place = PLACES[int(generator.integers(len(PLACES)))]
            statements += [f"{a} is with {b}" for a, b in itertools.pairwise(chain)]
            statements.append(f"{chain[-1]} is in the {place}")
            questions.append(f"the {THINGS[thing]} is in the {place}")
        return [self.encode(s) for s in statements], [self.encode(q) for q in questions]

    def batch(self, generator: np.random.Generator, hops: int, things: int) -> tuple[Tensor, Tensor]:
        """[set, row, position] of statements and of questions; -1 is padding."""
        drawn = [self.draw(generator, hops, things) for _ in range(SETS)]
        return tuple(
            torch.tensor([[row + [-1] * (LONGEST - len(row)) for row in one[i]] for one in drawn]) for i in (0, 1)
        )  # type: ignore[return-value]  # two


class _Scored(torch.nn.Module):
    def __init__(self, net: SmallNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, rows: Tensor) -> Tensor:
        states = self.net(rows.clamp(min=0))
        return self.net.logits(states.flatten(1, 2)).unflatten(1, states.shape[1:3])


def scores(net: SmallNet, weights: Weights, rows: Tensor) -> Tensor:
    """Logits [set, row, position, token] under every set's own weights."""
    return torch.func.functional_call(_Scored(net), {f"net.{name}": value for name, value in weights.items()}, (rows,))


def statement_loss(net: SmallNet, weights: Weights, rows: Tensor) -> Tensor:
    """Mean over all tokens but BOS, summed over sets: each set's gradient is its own."""
    logits = scores(net, weights, rows)[:, :, :-1]
    each = F.cross_entropy(logits.flatten(0, 2), rows[:, :, 1:].flatten(), ignore_index=-1, reduction="none")
    known = (rows[:, :, 1:] >= 0).flatten(1)
    return (each.view(known.shape) * known).sum(1).div(known.sum(1)).sum()


def places_read(net: SmallNet, weights: Weights, rows: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """(log-probabilities of the four places, the right one), [set, question(, place)]."""
    last = (rows >= 0).sum(-1) - 1
    logits = scores(net, weights, rows)
    at = logits.gather(2, (last - 1)[:, :, None, None].expand(-1, -1, 1, logits.shape[-1]))[:, :, 0]
    gold = rows.gather(2, last[:, :, None])
    return at[..., places].log_softmax(-1), (gold == places).long().argmax(-1)


def adapted(net: SmallNet, shared: Weights, rows: Tensor) -> Weights:
    """The weights of every set after its steps, without a graph to the shared ones."""
    weights = {name: value.detach().expand(SETS, *value.shape).clone() for name, value in shared.items()}
    for _ in range(STEPS):
        for value in weights.values():
            value.requires_grad_()
        gradients = torch.autograd.grad(statement_loss(net, weights, rows), list(weights.values()))
        weights = {
            name: (value - RATE * g).detach() for (name, value), g in zip(weights.items(), gradients, strict=True)
        }
    return weights


def asked(net: SmallNet, shared: Weights, facts: Facts, seed: int, hops: int, things: int) -> Tensor:
    """Accuracy after a set's own statements and after another set's, [own or other, set]."""
    places = torch.tensor([facts.encode(f"the {place}")[-1] for place in PLACES])
    statements, questions = facts.batch(np.random.default_rng(seed), hops, things)
    found = []
    for rows in (statements, statements.roll(1, 0)):
        read, gold = places_read(net, adapted(net, shared, rows), questions, places)
        found.append((read.argmax(-1) == gold).double().mean(1))
    return torch.stack(found)


def main(out: Path, seconds: float, hops: tuple[int, ...] = (1, 2), things: int = 4) -> None:
    """Train for so long, or (0) ask about sets of facts that were never drawn before."""
    began, model = time.process_time(), icl.load_model("icl-mini")
    facts, kept = Facts(model), out / "meta.pt"
    alone = SmallNet(NetConfig(), model.shape.d_vocab)
    net = SmallNet(NetConfig(), model.shape.d_vocab, models=SETS)
    out.mkdir(parents=True, exist_ok=True)
    import safetensors.torch

    from iclmech.mini import _store

    where = Path(_store.__file__).parent / "data" / "icl-mini" / "model.safetensors"
    alone.load_state_dict(safetensors.torch.load_file(where))
    shared = {name: value.detach().clone().requires_grad_() for name, value in alone.named_parameters()}
    adam, step, curve = torch.optim.Adam(shared.values(), OUTER), 0, []
    if kept.exists():
        state = torch.load(kept, weights_only=False)
        for name, value in state["shared"].items():
            shared[name].data.copy_(value)
        adam.load_state_dict(state["adam"])
        step, curve = state["step"], state["curve"]
    places = torch.tensor([facts.encode(f"the {place}")[-1] for place in PLACES])
    while time.process_time() - began < seconds:
        h = hops[step % len(hops)]
        statements, questions = facts.batch(np.random.default_rng(10_000 + step), h, things)
        weights = {name: value.requires_grad_() for name, value in adapted(net, shared, statements).items()}
        read, gold = places_read(net, weights, questions, places)
        loss = F.nll_loss(read.flatten(0, 1), gold.flatten())
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for value, gradient in zip(shared.values(), gradients, strict=True):
            value.grad = gradient.sum(0)
        torch.nn.utils.clip_grad_norm_(shared.values(), 1.0)
        adam.step()
        curve.append((step, h, loss.item(), float((read.argmax(-1) == gold).double().mean())))
        step += 1
    torch.save(
        {"shared": {n: v.detach() for n, v in shared.items()}, "adam": adam.state_dict(), "step": step, "curve": curve},
        kept,
    )
    recent = np.array(curve[-100:])
    print(f"step {step}: loss {recent[:, 2].mean():.3f}, right {recent[:, 3].mean():.2f} (training, last 100 steps)")
    if seconds > 0:
        return
    for h in (1, 2, 3):
        for t in (2, 4):
            own, other = torch.cat([asked(net, shared, facts, seed, h, t) for seed in range(4)], dim=1).numpy()
            half = 2 * (own - other).std(ddof=1) / len(own) ** 0.5
            print(
                f"{h} hops, {t} things: own facts {own.mean():.2f}, another set's {other.mean():.2f} (difference ± {half:.2f})"
            )


if __name__ == "__main__":
    where, *rest = sys.argv[1:] or ["runs/facts-meta"]
    main(Path(where), float(rest[0]) if rest else 300.0)
