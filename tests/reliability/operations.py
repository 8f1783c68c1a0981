"""What is done to a model while faults are let in: every way of capturing, training and applying."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from iclmech.captures import capture, capture_variants, iter_capture, queries_at_prefixes
from iclmech.interventions import add, cut_edges, zero
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.updates import gradient_descent, layer_causal_gd

SITES = ("attn_out", "attn_scores", "resid_post", "mlp_out", "z")


def prompts_of(model: ICLModel) -> PromptSet:
    """Two demonstrations, three queries of different lengths."""
    texts = ("fine", "dull film", "a", "it is", "moves you", "never")
    records = [{"text": text, "label": n % 2} for n, text in enumerate(texts)]
    task = Task.from_records(records, records, template="{text}:", label_words=["a", "positive"], name="small")
    return build_prompts(model, task, k=2, n_queries=3, seed=1)


def operations_of(model: ICLModel) -> dict[str, Callable[[], Any]]:
    """Name → operation. Each leaves the model as it found it."""
    prompts = prompts_of(model)
    one, two = gradient_descent(model, prompts, lr=0.1), layer_causal_gd(model, prompts, lr=0.1)
    everything = gradient_descent(model, prompts, lr=0.01, parameters="all")
    push = torch.ones(model.shape.d_model, device=model.device)
    edits = [add("resid_post", push, layers=0, at=-1), zero("attn_out", layers=1, at=[3, -1])]
    row = [model.bos, *prompts.queries[0].tokens, *prompts.queries[1].tokens]

    def nested() -> None:
        with one.applied(model), two.applied(model):
            capture(model, prompts, "zs")

    def applied() -> None:
        with everything.applied(model):
            capture(model, prompts, "zs", path="uncached")

    return {
        "fast": lambda: capture(model, prompts, "icl", SITES, path="fast"),
        "cached": lambda: capture(model, prompts, "icl", SITES, path="cached"),
        "uncached": lambda: capture(model, prompts, "icl", SITES, path="uncached"),
        "zero-shot": lambda: capture(model, prompts, "zs"),
        "parts": lambda: list(iter_capture(model, prompts, "icl", size=2)),
        "edited": lambda: capture(model, prompts, "icl", interventions=edits),
        "cut": lambda: capture(model, prompts, "icl", interventions=[cut_edges(None, "x->s")]),
        "variants": lambda: capture_variants(model, prompts, [zero("z", layers=1, heads=h, at=-1) for h in range(2)]),
        "prefixes": lambda: queries_at_prefixes(model, row, [row[1:3]], [2, 4], ("logits", "resid_post")),
        "gd": lambda: gradient_descent(model, prompts, lr=[0.1, 0.2]),
        "gd all": lambda: gradient_descent(model, prompts, lr=0.1, parameters="all"),
        "lcgd": lambda: layer_causal_gd(model, prompts, lr=0.1),
        "lcgd layerwise": lambda: layer_causal_gd(model, prompts, lr=0.1, strategy="layerwise"),
        "lcgd bottom up": lambda: layer_causal_gd(model, prompts, lr=0.1, order="bottom_up"),
        "applied": applied,
        "nested": nested,
    }


def reference_of(model: ICLModel) -> Callable[[], list[torch.Tensor]]:
    """A function that captures by two paths: what it gives must never change."""
    prompts = prompts_of(model)

    def numbers() -> list[torch.Tensor]:
        fast = capture(model, prompts, "icl", SITES)
        whole = capture(model, prompts, "zs", ("attn_out",), path="uncached")
        return [*fast.data.values(), fast.label_scores, *whole.data.values(), whole.label_scores]

    return numbers


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    """Whether all tensors are equal bit for bit, NaN included."""
    return all(torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5)) for a, b in zip(one, other, strict=True))
