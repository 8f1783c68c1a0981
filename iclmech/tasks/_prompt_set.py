"""The set of prompts that a measurement runs on, and its controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from iclmech._base import PromptError, digest

from . import _controls
from ._chat import tokenizer_of
from ._html import prompt_html
from ._label_permutations import share_kept
from ._prompt_parts import (
    Context as Context,
    Demonstration as Demonstration,
    Query as Query,
    Role as Role,
    Span as Span,
)
from ._window import context_room


class LabelPermutations(NamedTuple):
    """Prompt sets with permuted labels; no labelling is in two of the lists, as far as there are so many.

    Attributes:
        context: the baseline of the states under ICL.
        update: the baseline of the states after an update.
        outside: in neither.
    """

    context: list[PromptSet]
    update: list[PromptSet]
    outside: list[PromptSet]


@dataclass(frozen=True, repr=False)
class PromptSet:
    """Contexts, and queries that each belong to one of them. Made by `build_prompts`; never changed, only copied.

    Attributes:
        contexts, queries: what stands before a query, and the queries.
        bos: id of the token that starts every sequence.
        task: its name.
        k, k_requested: demonstrations in each context, and how many were asked for.
        seed: the one they were drawn with.
        dropped: what the window took: `"queries"` and `"demonstrations"` too long for it, `"cut"` demonstrations
            (`k_requested - k`) that did not fit in number.
        n_ctx: tokens in the window, or None where it has no end.
        meta: how the set was built (JSON-serialisable), with the notes for the user in `meta["notes"]`.
        token_strings: how each token id that occurs here reads.

    Example:
        >>> from iclmech.tasks import PieceTokenizer, build_prompts, load_task
        >>> letters = PieceTokenizer(lambda text: list(text.encode()), bos=256, read=chr)
        >>> prompts = build_prompts(letters, load_task("words/first-letter"), k=3, n_queries=2)
        >>> prompts
        PromptSet(task='words/first-letter', k=3, contexts=1, queries=2, context_tokens=46..46, seed=0)
        >>> [(d.text, d.label_word) for d in prompts.demonstrations]
        [('igloo', 'i'), ('uncle', 'u'), ('jewel', 'j')]
        >>> one, other = prompts.with_permuted_labels(seed=0, n=2)
        >>> [(d.text, d.label_word) for d in one.demonstrations], one.meta["share_kept"]
        ([('igloo', 'j'), ('uncle', 'i'), ('jewel', 'u')], [0.0])
    """

    contexts: list[Context]
    queries: list[Query]
    bos: int
    task: str
    k: int
    k_requested: int
    seed: int
    dropped: dict[str, int] = field(default_factory=dict)
    n_ctx: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    token_strings: dict[int, str] = field(default_factory=dict, compare=False)

    @property
    def labels(self) -> list[int | None]:
        """For each query the index of its label word, or None where its answer is free text."""
        return [query.label for query in self.queries]

    @property
    def demonstrations(self) -> list[Demonstration]:
        """Those of the only context. Raises `PromptError` if there are several contexts."""
        return self._only("demonstrations").demonstrations

    @property
    def context_tokens(self) -> list[int]:
        """Tokens of the only context. Raises `PromptError` if there are several contexts."""
        return self._only("context_tokens").tokens

    def _only(self, what: str) -> Context:
        if len(self.contexts) != 1:
            name = what if what == "demonstrations" else "tokens"
            raise PromptError(
                f"prompts.{what} means those of the only context, and there are {len(self.contexts)} contexts. "
                f"Use prompts.contexts[c].{name}."
            )
        return self.contexts[0]

    @property
    def hash(self) -> str:
        """16 hex digits that depend on every token of every context and query, and on the label words."""
        contexts = [
            [c.tokens, [d.tokens for d in c.demonstrations], c.label_words, c.label_tokens] for c in self.contexts
        ]
        return digest(contexts, [[q.context, q.tokens, q.label, q.target_tokens] for q in self.queries])

    def sequence(self, query: int) -> list[int]:
        """All tokens of query number `query` as ICL sees it: its context's, then its own."""
        return [*self.contexts[self.queries[query].context].tokens, *self.queries[query].tokens]

    def with_contexts(self, contexts: Sequence[Context], **meta: Any) -> PromptSet:
        """The same queries after other contexts (one for each that is there now); `meta` is added to `self.meta`.

        Raises `PromptError` if the number of contexts differs.
        """
        if len(contexts) != len(self.contexts):
            raise PromptError(
                f"got {len(contexts)} contexts for a prompt set with {len(self.contexts)}; the queries refer to contexts "
                f"by number, so give exactly {len(self.contexts)}."
            )
        k = min((len(c.demonstrations) for c in contexts), default=0)
        return replace(self, contexts=list(contexts), k=k, meta={**self.meta, **meta})

    def reordered(self, seed: int = 0) -> PromptSet:
        """The same demonstrations of every context in another order, shared by ICL and update.

        Args:
            seed: draws the order.
        """
        return self.with_contexts(_controls.reordered(self.contexts, seed), control="reordered", control_seed=seed)

    def with_shuffled_labels(self, seed: int = 0) -> PromptSet:
        """Labels, or answers in free text, permuted among the demonstrations of every context; differs wherever it can.

        Args:
            seed: draws the permutation. One permutation of few classes keeps or inverts most of the mapping by luck:
                `with_permuted_labels` has several that do not.
        """
        made = _controls.with_shuffled_labels(self.contexts, seed)
        return self.with_contexts(made, control="shuffled_labels", control_seed=seed)

    def with_permuted_labels(self, seed: int = 0, n: int = 4) -> list[PromptSet]:
        """Several labellings of the same demonstrations, each about as wrong as the others.

        They are different, none is the true one, as far as the demonstrations have so many; the first ones of a larger `n` are
        those of a smaller one. Of classes every draw keeps the share that chance would, nearly exactly; answers in free text
        that all differ change places in one cycle, so that none is kept. `meta["share_kept"]` has the share of each context.

        Args:
            seed: draws the labellings; those of another seed are independent.
            n: how many.

        Returns:
            `n` prompt sets with these queries.

        Raises:
            PromptError: `n` is not positive.

        Source:
            `permuted_labels`. `with_shuffled_labels` is one permutation of any kind.
        """
        if n < 1:
            raise PromptError(f"got n={n}; expected 1 labelling or more.")
        made = []
        for i, contexts in enumerate(_controls.with_permuted_labels(self.contexts, n, seed)):
            kept = [
                share_kept([d.label_word for d in old.demonstrations], [d.label_word for d in new.demonstrations])
                for old, new in zip(self.contexts, contexts, strict=True)
            ]
            meta = {"control": "permuted_labels", "control_seed": seed, "permutation": i, "share_kept": kept}
            made.append(self.with_contexts(contexts, **meta))
        return made

    def label_permutations(self, seed: int = 0, baseline: int = 4, outside: int = 2) -> LabelPermutations:
        """The labellings that the label-specific similarity needs: three sets without a common member.

        Args:
            seed: as in `with_permuted_labels`.
            baseline: labellings whose mean is taken off, for the context and for the update each.
            outside: labellings compared in the place of the true one.
        """
        made = self.with_permuted_labels(seed, 2 * baseline + outside)
        return LabelPermutations(made[:baseline], made[baseline : 2 * baseline], made[2 * baseline :])

    def with_demonstrations_of(self, other: PromptSet) -> PromptSet:
        """The demonstrations of another task, with its label words, before these queries.

        Its demonstrations keep its own label words or answers; `contexts[c].label_words`, and so the scoring of queries, stay
        those of this set. As many whole demonstrations as the window takes.

        Args:
            other: built with the same model. It may have label words where this set has free text, and the reverse.

        Raises:
            PromptError: another BOS, that is another tokenizer.
        """
        if other.bos != self.bos:
            raise PromptError(f"got prompts with BOS {other.bos}; expected {self.bos}. Build both with the same model.")
        made = _controls.with_demonstrations_of(self.contexts, other.contexts, self._room(self.contexts))
        return self._reading(
            self.with_contexts(made, control="wrong_task", control_task=other.task), other.token_strings
        )

    def with_unrelated_text(self, seed: int = 0, source: PromptSet | None = None) -> PromptSet:
        """Contexts of exactly the same lengths, of text without template, labels and separators; no demonstrations.

        Args:
            seed: draws texts, or the order of tokens.
            source: prompts of another task with the same model, whose texts are used; without them this set's own text
                tokens in random order.

        Raises:
            PromptError: the source has no demonstrations.
        """
        sources = self.contexts if source is None else source.contexts
        made = _controls.with_unrelated_text(self.contexts, sources, seed, shuffle=source is None)
        prompts = self.with_contexts(made, control="unrelated_text", control_seed=seed)
        return self._reading(prompts, {} if source is None else source.token_strings)

    def with_label_words(self, model: Any, label_words: Sequence[str]) -> PromptSet:
        """The same prompts under other label words.

        Args:
            model: as in `build_prompts`.
            label_words: in the order of the old ones.

        Raises:
            PromptError: another number of words (answers in free text have none), words that cannot be told apart, or a
                context that outgrows the window.
        """
        tokenizer = tokenizer_of(model, chat=bool(self.meta.get("chat")))
        made = _controls.with_label_words(self.contexts, label_words, tokenizer)
        room, longest = self._room(made), max(len(c.tokens) for c in made)
        if room is not None and longest > room:
            raise PromptError(
                f"with the label words {list(label_words)} a context has {longest} tokens, and {room} fit before the longest "
                "query. Choose shorter words, or build the prompts with a smaller k."
            )
        answers = made[0].label_tokens
        queries = [q if q.label is None else replace(q, target_tokens=list(answers[q.label])) for q in self.queries]
        prompts = replace(self.with_contexts(made, control="label_words"), queries=queries)
        return self._reading(prompts, tokenizer.strings([token for ids in answers for token in ids]))

    def _room(self, contexts: Sequence[Context]) -> int | None:
        return context_room(self.n_ctx, self.queries, [ids for context in contexts for ids in context.label_tokens])

    @staticmethod
    def _reading(prompts: PromptSet, strings: dict[int, str]) -> PromptSet:
        return replace(prompts, token_strings={**strings, **prompts.token_strings})

    def __repr__(self) -> str:
        lengths = [len(c.tokens) for c in self.contexts]
        cut = f" of {self.k_requested} asked for" if self.k != self.k_requested else ""
        return (
            f"PromptSet(task={self.task!r}, k={self.k}{cut}, contexts={len(self.contexts)}, queries={len(self.queries)}, "
            f"context_tokens={min(lengths, default=0)}..{max(lengths, default=0)}, seed={self.seed})"
        )

    def _repr_html_(self) -> str:
        if not self.queries:
            return prompt_html(repr(self), [], [], {})
        query = self.queries[0]
        context = self.contexts[query.context]
        spans = [*context.spans, *(span.shifted(len(context.tokens)) for span in query.spans)]
        return prompt_html(repr(self), self.sequence(0), spans, self.token_strings)
