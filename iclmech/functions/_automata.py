"""In-context language learning: strings of an automaton that is drawn for each prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from iclmech._base import rng

from ._errors import FunctionError
from ._family import Family
from ._hypotheses_posterior import CONTRADICTION, Hypotheses
from ._prompts import FunctionPrompts


@dataclass(frozen=True)
class Automata(Family):
    """Strings that random deterministic automata write, one automaton for each prompt, one string after another.

    Id 0 stands between strings, ids 1 … symbols are letters. A prompt's x[:, n] is the one-hot symbol at position n, y[:, n]
    the id that comes next; prompts.tokens are the ids that are read. `truth["distribution"]` is the exact distribution of
    the next id given the automaton, the chance that the string ends in column 0.

    Args:
        states: of each automaton; every string starts in state 0.
        symbols: letters that there are.
        fewest_symbols: of them, each automaton uses a random subset of this many or more.
        edges: out of each state, at most; at least 1, all alike in probability.
        shortest, longest: of a string, uniform between them.
        pool: automata that there are; 0 draws one for each prompt. With a pool Bayes is an enumeration.
        pool_seed: draws the pool.

    Source: Akyürek et al., arXiv 2401.12973 (their automata are minimal ones; these are not minimised).
    """

    kind: ClassVar[Literal["real", "binary", "symbols"]] = "symbols"
    states: int = 4
    symbols: int = 8
    fewest_symbols: int = 4
    edges: int = 3
    shortest: int = 3
    longest: int = 8
    pool: int = 0
    pool_seed: int = 0

    def __post_init__(self) -> None:
        """That such automata exist."""
        if not (1 <= self.fewest_symbols <= self.symbols and self.states > 0 and self.edges > 0):
            raise FunctionError(
                f"got {self.about}; expected 1 ≤ fewest_symbols ≤ symbols, and states and edges of 1 or more."
            )
        if not 1 <= self.shortest <= self.longest:
            raise FunctionError(f"got strings of {self.shortest} to {self.longest}; expected 1 ≤ shortest ≤ longest.")

    @property
    def input_size(self) -> int:
        """Ids: the letters and what stands between strings."""
        return self.symbols + 1

    def transitions(self, n: int, generator: Generator) -> Int64[Tensor, "automaton state letter"]:
        """n automata: the state that each letter leads to, -1 where it is not allowed."""
        shape = (n, self.states, self.symbols)
        used = torch.randint(self.fewest_symbols, self.symbols + 1, (n, 1), generator=generator)
        out_of_use = torch.rand(n, self.symbols, generator=generator).argsort().argsort() >= used
        order = torch.rand(shape, generator=generator) + 2.0 * out_of_use[:, None]
        count = torch.randint(1, self.edges + 1, (n, self.states), generator=generator).minimum(used)
        allowed = order.argsort(dim=-1).argsort(dim=-1) < count[..., None]
        return torch.where(allowed, torch.randint(self.states, shape, generator=generator), -1)

    def functions(self, n_prompts: int, generator: Generator) -> dict[str, Tensor]:
        """An automaton for each prompt."""
        if not self.pool:
            return {"transitions": self.transitions(n_prompts, generator)}
        chosen = torch.randint(self.pool, (n_prompts,), generator=generator)
        return {"hypothesis": chosen, "transitions": self._pool()[chosen]}

    def draw(self, n_prompts: int, n_examples: int, generator: Generator) -> FunctionPrompts:
        """Walks; see `Family.draw`."""
        if n_prompts < 1 or n_examples < 1:
            raise FunctionError(f"got {n_prompts} prompts of {n_examples} symbols; expected one or more of each.")
        truth = self.functions(n_prompts, generator)
        edges = truth["transitions"]
        every = torch.arange(n_prompts)
        tokens = torch.zeros(n_prompts, n_examples + 1, dtype=torch.long)
        state, left = torch.zeros(n_prompts, dtype=torch.long), torch.zeros(n_prompts, dtype=torch.long)
        for n in range(n_examples + 1):
            begins = (tokens[:, n - 1] == 0) if n else torch.zeros(n_prompts, dtype=torch.bool)
            length = torch.randint(self.shortest, self.longest + 1, (n_prompts,), generator=generator)
            left = torch.where(begins, length, left)
            state = torch.where(begins, 0, state)
            letter = torch.multinomial((edges[every, state] >= 0).double(), 1, generator=generator)[:, 0]
            goes_on = left > 0
            tokens[:, n] = torch.where(goes_on, letter + 1, 0)
            state = torch.where(goes_on, edges[every, state, letter], state)
            left = left - goes_on.long()
        x = torch.nn.functional.one_hot(tokens[:, :-1], self.symbols + 1).double()
        truth["distribution"] = self.next_symbol(edges[:, None], tokens[:, :-1])[:, :, 0]
        return FunctionPrompts(x, tokens[:, 1:].double(), self, truth)

    def next_symbol(
        self, transitions: Int64[Tensor, "#prompt automaton state letter"], tokens: Int64[Tensor, "prompt position"]
    ) -> Float64[Tensor, "prompt position automaton symbol"]:
        """The distribution of the next id under each automaton; where it does not allow what was read, all letters are alike."""
        h, dead = transitions.shape[1], self.states
        p = torch.broadcast_shapes(transitions.shape[:1], tokens.shape[:1])[0]
        leads = torch.nn.functional.pad(torch.where(transitions < 0, dead, transitions), (0, 0, 0, 1), value=dead)
        allowed = torch.nn.functional.pad(transitions >= 0, (0, 0, 0, 1), value=True).double()
        share = (allowed / allowed.sum(dim=-1, keepdim=True)).flatten(0, 2)
        row = torch.arange(len(share)).reshape(-1, h, dead + 1)[..., 0].expand(p, h)  # of each automaton's state 0
        leads = leads.flatten(0, 2)
        state, length = torch.zeros(p, h, dtype=torch.long), torch.zeros(p, 1, dtype=torch.long)
        trace, ends = [], []
        for token in tokens.expand(p, -1).T[..., None]:
            state = torch.where(token == 0, 0, leads[row + state, (token - 1).clamp(min=0)])
            length = torch.where(token == 0, 0, length + 1)
            trace.append(state)
            ends.append(torch.where(length < self.shortest, 0.0, 1 / (self.longest - length + 1).clamp(min=1)))
        end = torch.stack(ends, dim=1).double()[..., None].expand(p, -1, h, 1)
        return torch.cat([end, (1 - end) * share[row[:, None] + torch.stack(trace, dim=1)]], dim=-1)

    def values(
        self,
        truth: Mapping[str, Tensor],
        queries: Float64[Tensor, "prompt prefix d"],
        x: Float64[Tensor, "prompt example d"],
    ) -> Float64[Tensor, "prompt prefix"]:
        """There are none: what comes next is random."""
        raise FunctionError('an automaton gives a distribution, not a value; it is in prompts.truth["distribution"].')

    def hypotheses(self, prompts: FunctionPrompts) -> Hypotheses:
        """What every automaton of the pool says of these prompts."""
        if not self.pool:
            raise FunctionError(
                'Automata() are too many to enumerate; the automaton\'s own distribution is prompts.truth["distribution"]. '
                "For an exact posterior draw from a pool: Automata(pool=64)."
            )
        answers = self.next_symbol(self._pool()[None], prompts.tokens)
        index = prompts.y.long()[..., None, None].expand(*answers.shape[:3], 1)
        log_value = answers.gather(-1, index)[..., 0].log().clamp(min=CONTRADICTION)
        log_prior = torch.full((self.pool,), 1 / self.pool, dtype=torch.float64).log()
        return Hypotheses(log_prior, log_value, answers)

    def bayes(self, prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix symbol"]:
        """The exact distribution of the next id behind every prefix, for a pool."""
        return torch.cat([self.hypotheses(prompts[i : i + 32]).mean() for i in range(0, len(prompts), 32)])

    def _pool(self) -> Int64[Tensor, "automaton state letter"]:
        return self.transitions(self.pool, rng(self.pool_seed, "functions: automata"))
