"""Whatever mode PyTorch or the model is in: the same numbers, and the mode is kept."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from operations import operations_of, prompts_of, reference_of, same
from whole_state import differences, state_of

from iclmech.captures import capture
from iclmech.updates import gradient_descent


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


MODES: dict[str, Any] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "another device by default": lambda: default_device("meta"),
    "deterministic": deterministic,
    "anomalies": lambda: torch.autograd.detect_anomaly(check_nan=False),
}


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
@pytest.mark.parametrize("mode", MODES)
def test_numbers_are_the_same_in_every_mode_and_the_mode_stays(mode, fresh_model):
    model = fresh_model("gpt2", 2)
    prompts = prompts_of(model)
    expected = [*reference_of(model)(), *gradient_descent(model, prompts, lr=0.1, parameters="all").deltas.values()]
    model = fresh_model("gpt2", 2)  # what is tried once is tried in the mode
    with MODES[mode]():
        before = state_of(model)
        autocast = torch.is_autocast_enabled("cpu")
        found = [*reference_of(model)(), *gradient_descent(model, prompts, lr=0.1, parameters="all").deltas.values()]
        for operation in operations_of(model).values():
            operation()
        assert torch.is_autocast_enabled("cpu") == autocast
        assert differences(model, before) == []
    assert same(found, expected)


@pytest.mark.parametrize("path", ["fast", "cached", "uncached"])
def test_a_model_in_train_mode_is_read_as_in_evaluation(path, fresh_model):
    model = fresh_model("gpt2", 2)
    prompts = prompts_of(model)
    for part in model.hooked.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
    expected = capture(model, prompts, "icl", ("attn_out", "attn_pattern"), path=path)
    logits = model.readout(torch.ones(3, model.shape.d_model))
    model.hooked.train()
    before = state_of(model)
    found = capture(model, prompts, "icl", ("attn_out", "attn_pattern"), path=path)
    assert torch.equal(model.readout(torch.ones(3, model.shape.d_model)), logits)
    assert differences(model, before) == []
    assert same([*found.data.values(), found.label_scores], [*expected.data.values(), expected.label_scores])
    with torch.no_grad():
        row = torch.tensor([[0, 5, 6, 7]])
        assert not torch.equal(model.forward(row), model.forward(row))  # dropout is there


def test_untrained_models_made_in_inference_mode_can_be_changed(fresh_model):
    with torch.inference_mode():
        model = fresh_model("gpt2", 2).untrained(0)
        update = gradient_descent(model, prompts_of(model), lr=0.1)
        with update.applied(model):
            capture(model, prompts_of(model), "zs")
    model.parameters("attn_kv")[0].tensor.data.add_(1)


def test_a_model_can_be_copied_after_any_training(fresh_model):
    from iclmech.updates import layer_causal_gd

    model = fresh_model("gpt2", 2)
    layer_causal_gd(model, prompts_of(model), lr=0.1, order="bottom_up")
    other = copy.deepcopy(model)
    assert other.owner is not model.owner
    assert same(reference_of(other)(), reference_of(model)())
