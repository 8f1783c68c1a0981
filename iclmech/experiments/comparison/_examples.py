"""A few prompts with the attention they get in three settings, for looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from iclmech._base import ICLMechError, to_ascii_json
from iclmech.captures import Activations, capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from .._labelled import text_array
from ._plan import Plan

_LARGEST = 2**24  # numbers kept at most


def example_attention(
    model: ICLModel, prompts: PromptSet, plan: Plan, rates: dict[str, tuple[float, ...]], name: str
) -> xr.Dataset:
    """Attention from the recorded position, in ZS, ICL and under the first update (at its first rate).

    pattern (example, setting, layer, head, token): the axis `token` is the ICL prompt's; the zero-shot settings fill its
    BOS and the query's own tokens. NaN elsewhere and behind shorter prompts. meta (example): ASCII JSON with tokens,
    roles, text, label, predictions by setting.
    """
    shape = model.shape
    longest = max((len(prompts.sequence(j)) for j in range(len(prompts.queries))), default=0) + 1
    room = _LARGEST // (3 * shape.n_layers * shape.n_heads * longest)
    n = min(plan.request.n_examples, len(prompts.queries), room)
    if n < 1:
        return xr.Dataset()
    few = replace(prompts, queries=prompts.queries[:n])
    position = "label" if plan.position == "label" else "prediction"
    sites = ("attn_pattern", "context_pattern")
    found = {s: capture(model, few, s, sites, position) for s in ("zs", "icl")}
    update = next(iter(plan.updates))
    try:
        with plan.update(update, model, prompts, rates[update][0]).applied(model):
            found[f"ft:{update}"] = capture(model, few, "zs", sites, position)
    except ICLMechError:  # it diverges at this rate: two settings are shown
        pass
    texts = [_example(few, j, found, position) for j in range(n)]
    width = max(len(t["tokens"]) for t in texts)
    pattern = np.full((n, len(found), shape.n_layers, shape.n_heads, width), np.nan, np.float32)
    for j, text in enumerate(texts):
        for s, acts in enumerate(found.values()):
            _place(pattern[j, s], acts, j, len(text["tokens"]), len(few.contexts[few.queries[j].context].tokens))
    return xr.Dataset(
        {
            "pattern": (("example", "setting", "layer", "head", "token"), pattern),
            "meta": ("example", text_array([to_ascii_json(t) for t in texts])),
        },
        {"setting": text_array(list(found))},
        {"variant": "trained", "seed": prompts.seed, "position": position, "model": to_ascii_json(name)},
    )


def _place(target: np.ndarray, acts: Activations, j: int, length: int, context: int) -> None:
    """Context columns first, then the query's own tokens at the end."""
    before = acts["context_pattern"][j].numpy()
    own = acts["attn_pattern"][j].numpy()
    n_own = length - context
    target[..., context:length] = own[..., own.shape[-1] - n_own :]
    n_before = context if acts.setting == "icl" else 1
    target[..., :n_before] = before[..., :n_before]


def _example(prompts: PromptSet, j: int, found: dict[str, Activations], position: str) -> dict[str, Any]:
    query = prompts.queries[j]
    context = prompts.contexts[query.context]
    ids = list(prompts.sequence(j))
    roles = [*_roles(context.spans, len(context.tokens)), *_roles(query.spans, len(query.tokens))]
    if position == "label" and context.label_tokens:
        ids.append(context.label_tokens[0][0])
        roles.append("label")
    return {
        "tokens": [prompts.token_strings.get(i, f"<{i}>") for i in ids],
        "roles": roles,
        "n_context": len(context.tokens),
        "text": query.text,
        "label": query.label,
        "label_words": context.label_words,
        "label_probs": {s: [float(p) for p in acts.label_probs[j]] for s, acts in found.items()},
    }


def _roles(spans: Sequence[Any], length: int) -> list[str]:
    roles = ["text"] * length
    for span in spans:
        roles[span.start : span.stop] = [span.role] * (span.stop - span.start)
    return roles
