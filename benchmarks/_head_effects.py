"""Indirect effects of all heads of a model of Llama's kind, against one forward pass for every prompt, layer and head.

The naive loop is measured on a sample of heads and its time per head multiplied: every head costs it the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet
from iclmech.vectors import HeadEffects, head_effects
from iclmech.vectors._corrupted import corrupted

from ._cases import Case, same
from ._doors import HEADS, LAYERS, VOCABULARY, grouped_model
from ._measure import Contender
from ._world import prompts_of

_TOKENS = 87


def prompts_of_87_tokens(n: int) -> PromptSet:
    """n queries, each behind four demonstrations of its own, 87 tokens in all."""
    prompts, contexts = prompts_of(1, 4 * n), []
    for j in range(n):
        mine = [
            replace(d, tokens=[t % VOCABULARY for t in d.tokens]) for d in prompts.demonstrations[4 * j : 4 * j + 4]
        ]
        contexts.append(prompts.contexts[0].with_demonstrations(mine))
    own = _TOKENS - len(contexts[0].tokens)
    query = prompts.queries[0]
    queries = [
        replace(
            query, tokens=list(range(100 * j, 100 * j + own)), context=j, spans=(replace(query.spans[0], stop=own),)
        )
        for j in range(n)
    ]
    return replace(prompts, contexts=contexts, queries=queries, k=4)


class Plain:
    """The same weights in plain transformers: a whole forward pass under a replaced head output at the last token."""

    def __init__(self, model: ICLModel):
        original: Any = model.hooked.original_model
        self.model, self.width = original, model.shape.d_head
        self.modules = [block.self_attn.o_proj for block in original.model.layers]

    @torch.no_grad()
    def __call__(self, tokens: Sequence[int], target: int, layer: int, head: int, output: Tensor) -> float:
        def put(module: Any, args: Any) -> Any:
            states = args[0].clone()
            states[0, -1, head * self.width : (head + 1) * self.width] = output
            return (states, *args[1:])

        handle = self.modules[layer].register_forward_pre_hook(put)
        logits = self.model(torch.tensor([list(tokens)]), use_cache=False, logits_to_keep=1).logits[0, -1]
        handle.remove()
        return float(logits.double().softmax(-1)[target])


class Setting:
    """A model, prompts, mean outputs, and equality with the naive loop asserted."""

    def __init__(self, quick: bool):
        self.model, self.layers, self.n = grouped_model(quick), 4 if quick else LAYERS, 1 if quick else 3
        self.prompts = prompts_of_87_tokens(self.n)
        self.broken, self.plain = corrupted(self.prompts), Plain(self.model)
        self.means = capture(self.model, self.prompts, "icl", ("z",))["z"].mean(dim=0)
        self.sample = [(layer, (2 * layer) % HEADS) for layer in range(0, self.layers, max(1, self.layers // 6))]
        self.heads = self.layers * HEADS
        exact, guess = (self.run(method) for method in ("exact", "attribution"))
        clean = float(exact.data["probability"].sel(setting="corrupted").values[0])
        mine = torch.stack([exact.cie[0, layer, head] for layer, head in self.sample]) + clean
        same(
            mine,
            torch.tensor(self.naive(), dtype=torch.float64),
            1e-5,
            "probabilities by variants and by whole prompts",
        )
        self.correlation = float(torch.corrcoef(torch.stack([guess.aie.flatten(), exact.aie.flatten()]))[0, 1])

    def run(self, method: str) -> HeadEffects:
        """Effects of all heads on all prompts."""
        return head_effects(self.model, self.prompts, method, means=self.means)

    def naive(self) -> list[float]:
        """Probabilities under the sampled heads' mean outputs, one forward pass each."""
        query = self.broken.queries[0]
        target = self.broken.contexts[query.context].label_tokens[query.label or 0][0]
        tokens = self.broken.sequence(0)
        return [self.plain(tokens, target, layer, head, self.means[layer, head]) for layer, head in self.sample]


def effects(quick: bool) -> list[Case]:
    """All heads exactly, and by attribution; 36 heads in the quick round."""
    setting = Setting(quick)
    what = f"{setting.heads} heads, Llama shape, {_TOKENS} tokens, per prompt (naive: {len(setting.sample)} heads, extrapolated)"

    def naive() -> Contender:
        return Contender("a forward pass each", setting.naive, len(setting.sample) / setting.heads)

    def ours(method: str) -> Contender:
        return Contender(method, lambda: setting.run(method), setting.n)

    return [
        Case(f"Effects of {what}", [ours("exact"), naive(), ours("verified")], {"a forward pass each": 40.0}),
        Case(
            f"Effects by attribution (correlation with exact {setting.correlation:.3f}): {what}",
            [ours("attribution"), naive()],
            {"a forward pass each": 100.0},
        ),
    ]
