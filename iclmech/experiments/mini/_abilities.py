"""What a model can do, measured on token ids: accuracy by number of demonstrations, and induction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech._base import Guard, rng
from iclmech.analysis import circuit
from iclmech.mini import MiniTaskSpec, mini_task_spec, piece_ids, vocabulary, word_id, world_seed
from iclmech.mini._lexicon import HELD_SYMBOLS, HELD_WORDS

Predict = Callable[[list[list[int]]], Tensor]
"""Sequences of any lengths -> logits [sequence, vocab] of the token after each."""
Patterns = Callable[[Tensor], tuple[list[Tensor], Tensor]]
"""Ids [row, length] -> attention of each layer [row, head, query, key], and all logits [row, length, vocab]."""

KS: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32)


def write_prompt(
    spec: MiniTaskSpec, demonstrations: Sequence[dict[str, str]], query: dict[str, str], words: Sequence[str]
) -> list[int]:
    """BOS + demonstrations + query as ids, exactly as `iclmech.build_prompts` tokenises them."""
    before, after = spec.template.split("{text}")
    lead, tail, line = piece_ids(before.rstrip(" ")), piece_ids(after), piece_ids("\n")
    ids = [0]
    for row in demonstrations:
        word = words[spec.label_names.index(row["label"])]
        ids += [*lead, *map(word_id, row["text"].split()), *tail, word_id(word), *line]
    return [*ids, *lead, *map(word_id, query["text"].split()), *tail]


def _prompts(random: Random, spec: MiniTaskSpec, k: int, n: int, each: int) -> list[tuple[list[int], list[int], int]]:
    out = []
    for number in range(-(-n // each)):
        words = spec.episode(number) if spec.episode else spec.label_words
        labels = [word_id(word) for word in words]
        demonstrations = random.sample(spec.train, k)
        for query in random.sample(spec.test, each):
            gold = spec.label_names.index(query["label"])
            out.append((write_prompt(spec, demonstrations, query, words), labels, gold))
    return out[:n]


def accuracy(predict: Predict, name: str, k: int, n: int = 256, each: int = 4, seed: int = 0) -> float:
    """Share of ``n`` queries whose gold label word scores highest among the task's label words, after ``k`` demonstrations.

    Demonstrations (and label words, where the task redraws them) change every ``each`` queries. Unweighted fraction in [0, 1].
    """
    made = _prompts(world_seed(seed, f"mini/evaluate/{name}/{k}"), mini_task_spec(name), k, n, each)
    logits = predict([ids for ids, _, _ in made])
    guesses = logits.gather(1, torch.tensor([labels for _, labels, _ in made])).argmax(1)
    return float((guesses == torch.tensor([gold for _, _, gold in made])).float().mean())


def recall_accuracy(predict: Predict, n: int = 128, items: int = 4, seed: int = 0) -> float:
    """Share of bare "word: symbol" pairs recalled from the context: ``items`` pairs, then one of their words again.

    Words and symbols are held out from training, chance is 1 / ``items``. The earliest learning in context that a run shows.
    """
    random = world_seed(seed, "mini/evaluate/recall")
    rows, labels, gold = [], [], []
    for _ in range(n):
        words, symbols = random.sample(HELD_WORDS, items), random.sample(HELD_SYMBOLS, items)
        asked = random.randrange(items)
        pairs = [
            [word_id(w), *piece_ids(":"), word_id(s), *piece_ids("\n")] for w, s in zip(words, symbols, strict=True)
        ]
        rows.append([0, *(token for pair in pairs for token in pair), word_id(words[asked]), *piece_ids(":")])
        labels.append([word_id(symbol) for symbol in symbols])
        gold.append(asked)
    guesses = predict(rows).gather(1, torch.tensor(labels)).argmax(1)
    return float((guesses == torch.tensor(gold)).float().mean())


def accuracy_table(
    predict: Predict, names: Sequence[str], ks: Sequence[int] = KS, n: int = 256, seed: int = 0
) -> dict[str, dict[int, float]]:
    """`accuracy` for every task and every number of demonstrations."""
    return {name: {k: accuracy(predict, name, k, n, seed=seed) for k in ks} for name in names}


def repeated_sequences(rows: int, n: int, seed: int) -> Tensor:
    """BOS and a twice repeated random sequence of ``n`` whole words: ids [rows, 1 + 2 n]."""
    first = 3 + 256
    block = torch.randint(first, len(vocabulary()), (rows, n), generator=rng(seed, "mini/induction"))
    return torch.cat((torch.zeros(rows, 1, dtype=torch.long), block, block), dim=1)


def induction(patterns: Patterns, n: int = 50, rows: int = 16, seed: int = 0) -> dict[str, Any]:
    """Prefix matching of every head (mean of A[t, t-n+1] over the second half of r + r) and what goes with it.

    Returns:
        ``prefix_matching`` and ``previous_token`` [layer][head], ``copy_accuracy``: share of the second half's tokens
        predicted exactly, ``best``: the largest prefix-matching score. Source: Olsson et al. 2022.
    """
    ids = repeated_sequences(rows, n, seed)
    attention, logits = patterns(ids)
    right = (logits[:, n + 1 : -1].argmax(-1) == ids[:, n + 2 :]).float().mean().item()
    pattern = torch.stack(attention, 1)  # [row, layer, head, query, key]
    prefix = _rounded(circuit.prefix_matching(pattern, n, start=1).mean(0))
    previous = _rounded(pattern.diagonal(-1, -2, -1).mean((0, -1)))
    best = max(max(layer) for layer in prefix)
    return {"prefix_matching": prefix, "previous_token": previous, "copy_accuracy": round(right, 4), "best": best}


def _rounded(scores: Float[Tensor, "layer head"]) -> list[list[float]]:
    return [[round(value, 4) for value in layer] for layer in scores.tolist()]


@torch.no_grad()
def predict_last(
    forward: Callable[[Tensor, Tensor], Tensor], rows: list[list[int]], device: Any, tokens_at_once: int = 8192
) -> Float[Tensor, "row vocab"]:
    """Logits after each row: rows of like length go together, padded on the right (attention is causal).

    ``forward`` gets ids [row, position] and the index of each row's last token, and returns logits [row, vocab].
    """
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    size = max(1, tokens_at_once // max(map(len, rows)))
    out: dict[int, Tensor] = {}
    for start in range(0, len(order), size):
        part = order[start : start + size]
        longest = len(rows[part[-1]])
        ids = torch.tensor([rows[index] + [0] * (longest - len(rows[index])) for index in part], device=device)
        last = torch.tensor([len(rows[index]) - 1 for index in part], device=device)
        out |= dict(zip(part, forward(ids, last).float().cpu(), strict=True))
    return torch.stack([out[index] for index in range(len(rows))])


def net_predict(net: Any) -> Predict:
    """`Predict` of a `SmallNet`."""

    def forward(ids: Tensor, last: Tensor) -> Tensor:
        return net.logits(net(ids)[torch.arange(len(ids), device=ids.device), last])

    return lambda rows: predict_last(forward, rows, net.lm_head.weight.device)


def net_patterns(net: Any) -> Patterns:
    """`Patterns` of a `SmallNet`, through its hook points."""

    @torch.no_grad()
    def patterns(ids: Tensor) -> tuple[list[Tensor], Tensor]:
        found: list[Tensor] = []
        points = [net.point("attn_pattern", layer) for layer in range(net.config.n_layers)]
        with Guard() as guard:
            for point in points:
                guard.hook(point, lambda module, args, out: found.append(out))
            states = net(ids.to(net.lm_head.weight.device))
        return [layer.cpu() for layer in found], net.logits(states).cpu()

    return patterns
