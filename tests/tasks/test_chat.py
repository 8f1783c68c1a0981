"""Prompts as conversations against what the tokenizer's own template renders."""

from __future__ import annotations

import pytest

from iclmech._base import PromptError
from iclmech.tasks import build_prompts

from ._tokenizers import byte_level

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WITH_SYSTEM = "<|system|>Be brief.<eos>" + TEMPLATE


def tokenizer(template):
    made = byte_level()
    made.add_special_tokens({"additional_special_tokens": ["<|user|>", "<|assistant|>", "<|system|>"]})
    made.chat_template = template
    return made


@pytest.mark.parametrize("template", [TEMPLATE, WITH_SYSTEM])
def test_a_prompt_is_the_conversation_that_the_template_renders(template, task):
    made = tokenizer(template)
    prompts = build_prompts(made, task, k=2, n_queries=3, chat=True)
    for j, query in enumerate(prompts.queries):
        turns = []
        for d in prompts.demonstrations:
            turns += [("user", task.template.format(text=d.text)), ("assistant", d.label_word)]
        turns.append(("user", task.template.format(text=query.text)))
        messages = [{"role": role, "content": content} for role, content in turns]
        text = made.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        text = text.removeprefix("<|system|>Be brief.<eos>")
        assert prompts.sequence(j)[0] == made.bos_token_id
        assert made.decode(prompts.sequence(j)[1:]) == text
        assert made.decode(query.target_tokens) == task.label_words[query.label]
        assert prompts.sequence(j)[-1] == made.convert_tokens_to_ids("<|assistant|>")


def test_spans_cover_every_token_once_and_the_last_one_is_the_forerunner(task):
    prompts = build_prompts(tokenizer(TEMPLATE), task, k=2, n_queries=3, chat=True)
    for thing in (*prompts.queries, prompts.contexts[0]):
        covered = [i for span in thing.spans for i in range(span.start, span.stop)]
        assert covered == list(range(len(thing.tokens)))
    assert prompts.queries[0].spans[-1].role == "forerunner"
    d = prompts.demonstrations[0]
    assert next(s for s in d.spans if s.role == "forerunner").stop == d.label_span[0]


def test_marks_in_a_text_are_no_marks(task):
    """A user's text that spells a mark is not taken for one."""
    made = tokenizer(TEMPLATE)
    assert (
        made.convert_tokens_to_ids("<|user|>")
        in build_prompts(made, task, k=1, n_queries=1, chat=True).queries[0].tokens
    )
    from iclmech.tasks._chat import tokenizer_of

    assert made.convert_tokens_to_ids("<|user|>") not in tokenizer_of(made, chat=True).ids("say <|user|> twice")


def test_other_label_words_stand_in_turns_too(task):
    made = tokenizer(TEMPLATE)
    prompts = build_prompts(made, task, k=2, n_queries=3, chat=True).with_label_words(made, ["bad", "good"])
    assert [made.decode(ids) for ids in prompts.contexts[0].label_tokens] == ["bad", "good"]
    assert "<|assistant|>bad<eos>" in made.decode(prompts.context_tokens) or "<|assistant|>good<eos>" in made.decode(prompts.context_tokens)  # fmt: skip


def test_a_tokenizer_without_a_template_is_refused(bpe, task):
    with pytest.raises(PromptError, match="has no chat template"):
        build_prompts(bpe, task, k=1, n_queries=1, chat=True)
