"""Edits, variants and fresh queries: what they cost beside a plain capture, and beside running one after the other."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import torch

from iclmech.captures import Row, capture, capture_variants, iter_run, queries_at_prefixes
from iclmech.interventions import add, zero
from iclmech.models import ICLModel, load_model
from iclmech.models.backends._boot import boot
from iclmech.tasks import PromptSet, build_prompts, load_task

from ._cases import Case, same
from ._measure import Contender
from ._world import prompts_of, word_tokenizer

LAYERS, HEADS, WIDTH, VOCABULARY = 30, 9, 576, 49152


def grouped_model(quick: bool) -> ICLModel:
    """Random weights of Llama's kind: 9 heads on 3 keys, d_model 576, 30 layers."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=WIDTH,
        num_hidden_layers=4 if quick else LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=3,
        intermediate_size=1536,
        vocab_size=VOCABULARY,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=0,
    )
    plain: Any = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with tempfile.TemporaryDirectory() as place:
        tokenizer = word_tokenizer(place)
        config.save_pretrained(place)
        return ICLModel(boot(plain, tokenizer, torch.float32), "grouped")


def within(prompts: PromptSet, vocabulary: int) -> PromptSet:
    """The same prompts with ids below `vocabulary`."""

    def fold(thing: Any) -> Any:
        return replace(thing, tokens=[token % vocabulary for token in thing.tokens])

    return replace(prompts, contexts=[fold(c) for c in prompts.contexts], queries=[fold(q) for q in prompts.queries])


def edit(quick: bool) -> Case:
    """icl-mini, k=32: a vector added at the query's last token, beside the same capture without it."""
    model = load_model("icl-mini")
    prompts = build_prompts(model, load_task("mini/sentiment"), k=8 if quick else 32, n_queries=8 if quick else 64)
    push = torch.randn(model.shape.d_model, generator=torch.Generator().manual_seed(0))
    edits = [add("resid_post", push, layers=1, at="s_q")]
    mine = capture(model, prompts, "icl", ("resid_post",), interventions=edits)
    whole = capture(model, prompts, "icl", ("resid_post",), interventions=edits, path="uncached")
    same(mine["resid_post"], whole["resid_post"], 1e-5, "edited states")
    contenders = [
        Contender("plain capture", lambda: capture(model, prompts, "icl", ("resid_post",))),
        Contender("with an edit", lambda: capture(model, prompts, "icl", ("resid_post",), interventions=edits)),
        Contender(
            "prompts run whole",
            lambda: capture(model, prompts, "icl", ("resid_post",), interventions=edits, path="uncached"),
            once=True,
        ),
    ]
    return Case(f"an edit at the last token, icl-mini, k={prompts.k} (aim: at most 2.5 plain captures)", contenders, {})


def variants(quick: bool) -> Case:
    """Every head of every layer silenced at the query's last token, one after the other and together."""
    model, prompts = grouped_model(quick), within(prompts_of(1, 4 if quick else 32), VOCABULARY)
    heads = [
        zero("z", layers=layer, heads=head, at=-1) for layer in range(model.shape.n_layers) for head in range(HEADS)
    ]
    together = capture_variants(model, prompts, heads)
    few = [0, len(heads) // 2, len(heads) - 1]
    for v in few:
        alone = capture(model, prompts, "icl", (), interventions=[heads[v]])
        same(together.label_scores[:, v], alone.label_scores, 1e-5, f"scores of variant {v}")
    contenders = [
        Contender("together, per variant", lambda: capture_variants(model, prompts, heads), len(heads)),
        Contender(
            "a capture each",
            lambda: [capture(model, prompts, "icl", (), interventions=[heads[v]]) for v in few],
            len(few),
        ),
    ]
    return Case(f"{len(heads)} variants of one prompt, Llama shape", contenders, {"a capture each": 25.0})


def prefixes(quick: bool) -> Case:
    """icl-mini: fresh queries behind every prefix of a row, one pass for each prefix and all in one."""
    model = load_model("icl-mini")
    make = torch.Generator().manual_seed(0)
    n = 12 if quick else 64
    row = [model.bos, *torch.randint(5, model.shape.d_vocab, (n - 1,), generator=make).tolist()]
    queries = [torch.randint(5, model.shape.d_vocab, (2,), generator=make).tolist() for _ in range(4)]
    rows = [Row(query, (1,)) for query in queries]
    every = range(1, n + 1)

    def loop(path: Any) -> list[Any]:
        return [list(iter_run(model, row[:p], rows, ("resid_post",), path=path)) for p in every]

    mine = queries_at_prefixes(model, row, queries, every, ("resid_post",))
    for p, chunks in enumerate(loop("uncached")):
        for chunk in chunks:
            states = mine["resid_post"][p, list(chunk.index)]
            same(states, chunk.values["resid_post"][:, 0], 1e-5, f"states behind prefix {p}")
    contenders = [
        Contender("in one masked pass", lambda: queries_at_prefixes(model, row, queries, every, ("resid_post",))),
        Contender("a pass per prefix", lambda: loop("uncached")),
        Contender("a pass per prefix, twin", lambda: loop("fast")),
    ]
    return Case(f"4 queries behind {n} prefixes, icl-mini", contenders, {"a pass per prefix": 8.0})
