"""Facts and questions about them: who is where, over one or several statements, among statements about other things."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from iclmech._base import PromptError, np_rng

from ._label_tokens import encode_labels
from ._prompt_parts import Context, Query
from ._prompt_set import PromptSet
from ._prompts import build_prompts
from ._records import Example
from ._task import Task
from ._tokens import PieceTokenizer

THINGS = ("cup", "lamp", "box", "bottle", "apple", "hat", "coat", "piano", "drum", "hammer", "chair", "melon")
PEOPLE = (
    *("anna", "peter", "maria", "clara", "felix", "laura", "simon", "helen", "oscar", "nina", "victor", "ella"),
    *("bruno", "alice", "martin", "rosa", "hugo", "ida", "leo", "eva", "noah", "lena", "karl", "jonas"),
)
PLACES = ("church", "school", "castle", "library")
"""The answers: chance is a quarter."""


def build_facts(model: Any, n_episodes: int = 8, things: int = 2, hops: int = 1, seed: int = 0) -> PromptSet:
    """Episodes of statements, each with a question about every thing in it.

    One hop: "the cup is in the school". Two: "the cup is with anna", "anna is in the school"; more: people with people. The
    question is "the cup is in the". Statements stand in random order, so those about the other things are distractors: (things - 1) ·
    hops of them for every question. Words are in the vocabulary of icl-mini.

    Args:
        model: an `ICLModel`, or a transformers tokenizer.
        n_episodes: contexts; each has its own facts.
        things: things in an episode, and so its questions.
        hops: statements that lead from a thing to its place.
        seed: draws all of it.

    Returns:
        A `PromptSet` with `n_episodes` contexts, whose demonstrations are the statements, and `things` queries for each; the label
        words are the places.

    Raises:
        PromptError: fewer than one of anything, or more things and people than there are.

    Source: the question of Chen et al., arXiv 2305.06349 (RECKONING), on texts of our own.

    Example:
        >>> from iclmech.tasks import PieceTokenizer
        >>> letters = PieceTokenizer(lambda text: list(text.encode()), bos=256, read=chr)
        >>> prompts = build_facts(letters, n_episodes=1, things=1, hops=2)
        >>> print(bytes(prompts.sequence(0)[1:]).decode())
        noah is in the church
        the cup is with noah
        the cup is in the
    """
    people = things * (hops - 1)
    if min(n_episodes, things, hops) < 1 or things > len(THINGS) or people > len(PEOPLE):
        raise PromptError(
            f"got n_episodes={n_episodes}, things={things}, hops={hops}; expected 1 or more of each, at most {len(THINGS)} things and "
            f"things · (hops - 1) ≤ {len(PEOPLE)} people."
        )
    labels = encode_labels(list(PLACES), PieceTokenizer.of(model))
    contexts: list[Context] = []
    queries: list[Query] = []
    for episode in range(n_episodes):
        task, answers = _episode(things, hops, seed, episode)
        made = build_prompts(model, task, len(task.train), things, seed=episode, query_seed=seed)
        contexts.append(replace(made.contexts[0], label_words=list(PLACES), label_tokens=labels))
        queries += [replace(q, context=episode, label=answers[q.index]) for q in made.queries]
    meta = {**made.meta, "task_hash": "", "hops": hops, "things": things}
    return replace(
        made, contexts=contexts, queries=queries, task=f"facts, {hops} hops, {things} things", seed=seed, meta=meta
    )


def _episode(things: int, hops: int, seed: int, episode: int) -> tuple[Task, list[int]]:
    """Statements as training examples, questions as test examples, and the place of each."""
    generator = np_rng(seed, f"facts {episode}")
    chosen = [THINGS[int(i)] for i in generator.permutation(len(THINGS))[:things]]
    people = [PEOPLE[int(i)] for i in generator.permutation(len(PEOPLE))[: things * (hops - 1)]]
    answers = [int(generator.integers(len(PLACES))) for _ in chosen]
    statements: list[Example] = []
    for t, (thing, answer) in enumerate(zip(chosen, answers, strict=True)):
        chain = [f"the {thing}", *people[t * (hops - 1) : (t + 1) * (hops - 1)]]
        statements += [Example({"text": f"{a} is with"}, target=b) for a, b in itertools.pairwise(chain)]
        statements.append(Example({"text": f"{chain[-1]} is in the"}, target=PLACES[answer]))
    questions = [
        Example({"text": f"the {thing} is in the"}, target=PLACES[a]) for thing, a in zip(chosen, answers, strict=True)
    ]
    return Task("facts", statements, questions, "{text}", []), answers
