"""Blocks of a twin on some of their tokens, and states recorded through hooks, against whole plain passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech._base import BackendError
from iclmech.models import EndOfPass, PartialPass, attention, twin_of

IDS = [0, *range(20, 32)]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
def test_the_top_block_at_some_tokens_is_that_of_the_whole_pass(family, tiny_model, tiny_hf):
    model, at = tiny_model(family), torch.tensor([12, 3, 3])
    twin: Any = twin_of(model)
    found: list[torch.Tensor] = []

    def mix(layer, query, whole, again, scale):
        mask = None
        if again is not None:
            ahead = torch.arange(len(IDS)) > at[:, None]
            mask = torch.zeros(ahead.shape).masked_fill(ahead, float("-inf"))
        return attention(query, *whole, scale, mask)

    now = PartialPass(twin, mix, len(IDS))

    def top(block, args, kwargs):
        found.append(now.some(block, args, kwargs, at))
        assert now.repeating is None
        raise EndOfPass

    twin.refresh()
    handle = twin.blocks[1].register_forward_pre_hook(top, with_kwargs=True)
    with torch.no_grad():
        now.run(torch.tensor([IDS]))
    handle.remove()
    with torch.no_grad():
        hidden = tiny_hf(family)(torch.tensor([IDS]), output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(found[0][0], hidden[0, at], atol=1e-5, rtol=1e-5)


def test_recording_keeps_what_the_last_pass_showed(tiny_model, tiny_hf):
    model = tiny_model("llama")
    with torch.no_grad(), model.recording(("resid_post", "z"), [0, 2]) as seen:
        model.forward(torch.tensor([[0, 5]]))
        model.forward(torch.tensor([IDS]))
        hidden = tiny_hf("llama")(torch.tensor([IDS]), output_hidden_states=True).hidden_states[1]
    assert set(seen) == {("resid_post", 0), ("resid_post", 2), ("z", 0), ("z", 2)}
    torch.testing.assert_close(seen["resid_post", 0], hidden, atol=1e-5, rtol=1e-5)
    model.forward(torch.tensor([[0, 5]]))
    assert seen["resid_post", 0].shape[1] == len(IDS)
    with pytest.raises(BackendError, match="no hook for resid_mid"), tiny_model("gpt_neox").recording(["resid_mid"]):
        pass
