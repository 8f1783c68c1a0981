"""The dual form of an update against its definition; no update, no change; refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference._models as reference
import torch

from iclmech.analysis import circuit
from iclmech.experiments import ExperimentError, dual_form
from iclmech.experiments._dual_form import _keys_values
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.updates import gradient_descent

RECORDS = [{"text": t, "label": n % 2} for n, t in enumerate(("fine", "dull", "it is", "great"))]


def prompts_of(model: Any, **options: Any) -> PromptSet:
    task = Task.from_records(RECORDS, RECORDS, template="{text}:", label_words=["a", "is"])
    return build_prompts(model, task, **{"k": 2, "n_queries": 2, **options})


@pytest.mark.parametrize(("family", "norm"), [("gpt2", "ln_1"), ("llama", "input_layernorm")])
def test_inputs_are_held_fixed(family: str, norm: str, fresh_model: Any, tiny_hf: Any) -> None:
    """Under the update the values of every layer move by norm(inputs) · ΔW_V, and not by more."""
    model = fresh_model(family)
    prompts = prompts_of(model)
    update = gradient_descent(model, prompts, lr=0.1)
    tokens = prompts.queries[0].tokens
    _, v, inputs = _keys_values(model, tokens)
    with update.applied(model):
        _, new_v, same = _keys_values(model, tokens, inputs)
        _, free_v, _ = _keys_values(model, tokens)
    torch.testing.assert_close(same[1:], inputs[1:])
    group = model.shape.n_heads // model.shape.n_kv_heads
    for layer in range(3):
        with torch.no_grad():
            x = getattr(reference.blocks(tiny_hf(family))[layer], norm)(inputs[layer])
        weight, bias = update.delta(layer, "v"), update.delta(layer, "v_bias")
        assert weight is not None
        for head in range(4):
            wanted = x @ weight[head // group] + (0 if bias is None else bias[head // group])
            torch.testing.assert_close(new_v[layer, :, head] - v[layer, :, head], wanted, atol=2e-6, rtol=1e-4)
    assert not torch.allclose(free_v[2], new_v[2], atol=1e-5), "the inputs of upper layers move when they are not held"


def test_comparison(fresh_model: Any) -> None:
    model = fresh_model("gpt2")
    prompts = prompts_of(model)
    before = model.hash()
    update = gradient_descent(model, prompts, lr=0.1)
    data = dual_form(model, prompts, update, rank=2).data
    assert model.hash() == before
    assert data["cosine"].dims == ("source", "layer", "head")
    assert data.attrs["chance"] == 0.25
    query = prompts.queries[0]
    k, v, inputs = _keys_values(model, prompts.context_tokens[1:])
    in_context = circuit.virtual_update(k[:, 1:], v[:, 1:])
    found = []
    for query in prompts.queries:
        k, v, inputs = _keys_values(model, query.tokens)
        with update.applied(model):
            new = _keys_values(model, query.tokens, inputs)[:2]
        found.append(circuit.compare_maps(in_context, circuit.update_in_dual_form((k, v), new), 2)["cosine"])
    np.testing.assert_allclose(
        data["cosine"].sel(source="update").values, torch.stack(found).mean(0).numpy(), atol=1e-5
    )
    still = dual_form(model, prompts, update.scaled(0.0), rank=2).data
    assert still["cosine"].isnull().all()


def test_refusals(tiny_model: Any) -> None:
    model = tiny_model("gpt2")
    prompts = prompts_of(model)
    update = gradient_descent(model, prompts, lr=0.1)
    with pytest.raises(ExperimentError, match="one context with demonstrations"):
        dual_form(model, prompts_of(model, k=0), update)
