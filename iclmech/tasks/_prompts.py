"""`build_prompts`: from a task to token ids with exact spans, the same in every setting."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

from iclmech._base import ICLMechWarning, PromptError, imported, np_rng

from ._chat import tokenizer_of
from ._load import load_task
from ._prompt_build import PromptBuild
from ._prompt_parts import Context, Query
from ._prompt_set import PromptSet
from ._select import Choose, GivenRows, RowNumbers, Selection, Selector, selection_name
from ._task import Task


def build_prompts(
    model: Any,
    task: Task | str,
    k: int = 32,
    n_queries: int = 256,
    seed: int = 0,
    n_contexts: int = 1,
    *,
    separator: str | None = None,
    selection: Selection | Selector | Choose | RowNumbers = "random",
    query_seed: int = 0,
    queries_from: Literal["test", "train"] = "test",
    max_share: float = 0.5,
    n_ctx: int | None = None,
    chat: bool = False,
    label_words: Literal["own", "shared"] = "own",
) -> PromptSet:
    """Draw demonstrations and queries, tokenise them, and fit them into the model's window.

    A demonstration is the filled template, a space and the label word, then the separator. Its pieces are tokenised apart
    and their ids joined, so a piece has the same ids in every setting. Demonstrations stand in the context in the order in
    which an update takes its steps.

    The window: a text that takes more than `max_share` of it (a query with its answer, a demonstration with its separator) is
    dropped and counted; then every context loses as many whole demonstrations, the same number in all, as it takes for
    the longest query and answer to fit. What was dropped or cut is told in one `ICLMechWarning`, in `.dropped`, and in
    `.meta["notes"]`.

    Args:
        model: an `ICLModel` or the name of one, or a transformers tokenizer.
        task: where examples, template and label words come from, or the name of one.
        k: demonstrations in each context; 0 is legal.
        n_queries: queries in total, at most; query j belongs to context j % n_contexts.
        seed: draws the demonstrations (and label words, where the task redraws them). Context c depends on (seed, c) only.
        n_contexts: number of demonstration sets.
        separator: after each demonstration; None is the task's own, `"<eos>"` the end-of-text token, `""` nothing.
        selection: `"random"`; `"balanced"`: as many of each class as can be, in random order; or a `Selector` (such as those of
            `icl.selection`), which chooses demonstrations for each query, so that every query has a context of its own; or
            row numbers of the training examples, for all queries or a list for each.
        query_seed: draws the queries, which thus are the same for every `seed` and `k`.
        queries_from: `"train"` draws queries from training examples that are no demonstrations here (held out, to choose
            a learning rate on).
        max_share: the largest part of the window for one text. The default lets one demonstration fit beside any query.
        n_ctx: a smaller window than the model's.
        chat: make every input a turn of the user and every answer a turn of the assistant, in the marks of the tokenizer's chat
            template, which stand in the place of the separator and of the space before an answer. BOS comes first; a
            system message, which some templates put before the first turn, is left out.
        label_words: of a task that redraws them, `"own"` gives every context its own, `"shared"` all those of the first: what
            is averaged over contexts then has one meaning.

    Raises:
        PromptError: an argument out of range, label words that cannot be told apart, nothing to draw from, or a window too
            small for a single demonstration.

    Example:
        >>> from iclmech.tasks import PieceTokenizer, load_task
        >>> letters = PieceTokenizer(lambda text: list(text.encode()), bos=256, read=chr)
        >>> task = load_task("words/capitalise")
        >>> prompts = build_prompts(letters, task, k=2, n_queries=3)
        >>> bytes(prompts.sequence(0)[1:]).decode()
        'Q: singer\\nA: Singer\\n\\nQ: mirror\\nA: Mirror\\n\\nQ: honey\\nA:'
        >>> def same_letter(train, query, k, seed):
        ...     return [row for row, example in enumerate(train) if example.text[0] == query.text[0]][:k]
        >>> prompts = build_prompts(letters, task, k=1, n_queries=3, selection=same_letter)
        >>> [(prompts.contexts[q.context].demonstrations[0].text, q.text) for q in prompts.queries]
        [('harbor', 'honey'), ('basket', 'bridge'), ('desert', 'dragon')]
    """
    selection = _checked(k, n_queries, n_contexts, selection, queries_from, max_share, label_words)
    task = load_task(task) if isinstance(task, str) else task
    model = imported("iclmech.models:load_model")(model) if isinstance(model, str) else model
    tokenizer = tokenizer_of(model, n_ctx, chat)
    if not isinstance(selection, str):
        n_contexts = min(n_queries, len(getattr(task, queries_from)))
    numbers = [0] * n_contexts if label_words == "shared" else range(n_contexts)
    episode_seeds = [int(np_rng(seed, f"episode {c}").integers(2**31)) for c in numbers]
    build = PromptBuild(tokenizer, task, task.separator if separator is None else separator, max_share, selection)
    episodes = [task.episode(s) for s in episode_seeds]
    if isinstance(selection, str):
        chosen = [build.demonstrations(episode, k, seed, c) for c, episode in enumerate(episodes)]
        taken = {d.index for demonstrations in chosen for d in demonstrations} if queries_from == "train" else set()
        queries = build.queries(episodes, n_queries, query_seed, queries_from, taken)
    else:
        queries = build.queries(episodes, n_queries, query_seed, queries_from, set(), at_least=1)
        episodes, episode_seeds = episodes[: len(queries)], episode_seeds[: len(queries)]
        chosen = build.retrieved(selection, episodes, queries, k, seed, queries_from)
    contexts = build.contexts(episodes, chosen, queries, k, seed)
    notes = build.notes(k, n_queries, contexts, queries)
    if notes:
        warnings.warn(f"Prompts of task {task.name!r}: " + " ".join(notes), ICLMechWarning, stacklevel=2)
    kept = len(contexts[0].demonstrations)
    return PromptSet(
        contexts=contexts, queries=queries, bos=tokenizer.bos, task=task.name, k=kept, k_requested=k, seed=seed,
        dropped={"queries": len(build.long_queries), "demonstrations": len(build.long_demonstrations), "cut": k - kept},
        n_ctx=tokenizer.n_ctx,
        meta={
            "task_hash": task.hash,
            "template": task.template,
            "separator": build.separator,
            "tokenizer": tokenizer.name,
            "selection": selection_name(selection),
            "query_seed": query_seed,
            "queries_from": queries_from,
            "max_share": max_share,
            "episode_seeds": episode_seeds,
            "chat": chat,
            "notes": notes,
        },
        token_strings=tokenizer.strings(_all_tokens(contexts, queries)),
    )  # fmt: skip


def _checked(
    k: int,
    n_queries: int,
    n_contexts: int,
    selection: str | Selector | Choose | RowNumbers,
    queries_from: str,
    max_share: float,
    label_words: str,
) -> Selection | Selector | Choose:
    """Raises `PromptError` for an argument out of range. Returns the selection, row numbers as a selector."""
    if isinstance(selection, Sequence) and not isinstance(selection, str):
        selection = GivenRows(selection)
    for name, value, least in (("k", k, 0), ("n_queries", n_queries, 1), ("n_contexts", n_contexts, 1)):
        if value < least:
            raise PromptError(f"got {name}={value}; expected {least} or more.")
    if n_contexts > n_queries:
        raise PromptError(
            f"got n_contexts={n_contexts} for n_queries={n_queries}; expected at least one query per context."
        )
    if isinstance(selection, str) and selection not in get_args(Selection):
        raise PromptError(
            f"got selection={selection!r}; expected one of {list(get_args(Selection))}, or an object with choose()."
        )
    if not isinstance(selection, str) and n_contexts != 1:
        raise PromptError(
            f"got n_contexts={n_contexts} with the selection {selection_name(selection)!r}, under which every query has a context "
            "of its own; leave n_contexts out."
        )
    if label_words not in ("own", "shared"):
        raise PromptError(f"got label_words={label_words!r}; expected 'own' or 'shared'.")
    if queries_from not in ("train", "test"):
        raise PromptError(f"got queries_from={queries_from!r}; expected 'test' or 'train'.")
    if not 0 < max_share <= 1:
        raise PromptError(f"got max_share={max_share}; expected a share of the window, above 0 and at most 1.")
    return selection  # type: ignore[return-value]  # a text is one of the names, as checked


def _all_tokens(contexts: Sequence[Context], queries: Sequence[Query]) -> list[int]:
    tokens = {token for context in contexts for token in context.tokens}
    tokens |= {token for context in contexts for ids in context.label_tokens for token in ids}
    tokens |= {token for query in queries for token in (*query.tokens, *(query.target_tokens or ()))}
    return sorted(tokens)
