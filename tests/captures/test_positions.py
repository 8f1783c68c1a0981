"""Roles, several positions and means against captures one position at a time."""

from __future__ import annotations

import json

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import Activations, capture, estimate_memory
from iclmech.interventions import RoleTable

SITES = ("resid_post", "z", "attn_scores", "context_scores")


def test_a_role_of_the_query_is_all_its_tokens(tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model, n_queries=4, n_contexts=2)
    acts = capture(model, prompts, "icl", SITES, "x_q")
    places = [torch.nonzero(RoleTable.of_query(q).select("x_q"))[:, 0].tolist() for q in prompts.queries]
    most = max(map(len, places))
    assert len(set(map(len, places))) > 1
    assert acts.dims["resid_post"] == ("query", "layer", "position", "d_model")
    assert acts.dims["attn_scores"] == ("query", "layer", "head", "position", "key")
    assert acts["resid_post"].shape == (4, 3, most, 32)
    for n in range(most):

        def token(query, context, n=n):
            return [*places[prompts.queries.index(query)], *[0] * most][n]

        some = capture(model, prompts, "icl", SITES, token)
        for j, at in enumerate(places):
            for site in SITES:
                value = acts[site][j].select(2 if "scores" in site else 1, n)
                if n < len(at):
                    torch.testing.assert_close(value, some[site][j], atol=1e-5, rtol=1e-5, equal_nan=True)
                else:
                    assert bool(torch.isnan(value).all())
    assert torch.allclose(acts.label_scores, some.label_scores, atol=1e-5)


def test_a_sequence_of_positions_in_its_order(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    both = capture(model, prompts, "icl", ("resid_post",), ["label", "prediction", lambda query, context: 0])
    one = [
        capture(model, prompts, "icl", ("resid_post",), p) for p in ("label", "prediction", lambda query, context: 0)
    ]
    torch.testing.assert_close(both["resid_post"], torch.stack([a["resid_post"] for a in one], 2), atol=1e-5, rtol=1e-5)
    assert both.meta["position"] == "label+prediction+<lambda>"


@pytest.mark.parametrize("role", ["x_q", "y", "x", "sep"])
@pytest.mark.parametrize("path", ["auto", "uncached"])
def test_means_are_those_of_the_tokens(role, path, tiny_model, prompts_for):
    model = tiny_model("qwen2")
    prompts = prompts_for(model, n_contexts=2)
    tokens = capture(model, prompts, "icl", ("resid_post", "z"), role)
    mean = capture(model, prompts, "icl", ("resid_post", "z"), f"mean:{role}", path=path)
    assert mean.dims["z"] == ("query", "layer", "head", "d_head")
    for site in ("resid_post", "z"):
        torch.testing.assert_close(mean[site], tokens[site].nanmean(2), atol=1e-5, rtol=1e-5)


def test_roles_of_the_demonstrations(tiny_model, prompts_for):
    """s is the forerunners, and a context with fewer tokens of a role has NaN behind them."""
    model = tiny_model("gpt2")
    prompts = prompts_for(model, n_contexts=2)
    roles, named = (capture(model, prompts, "icl", ("resid_post", "context_scores"), p) for p in ("s", "forerunners"))
    for site in roles:
        assert torch.equal(roles[site].nan_to_num(9), named[site].nan_to_num(9))
    labels = capture(model, prompts, "icl", ("resid_post",), "y")["resid_post"]
    counts = [int(RoleTable.of_context(prompts.contexts[q.context]).select("y").sum()) for q in prompts.queries]
    assert (~torch.isnan(labels[:, 0, :, 0])).sum(-1).tolist() == counts


def test_s_q_is_the_prediction_and_y_q_the_label(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    for role, name in (("s_q", "prediction"), ("y_q", "label")):
        one, other = (capture(model, prompts, "icl", position=p) for p in (role, name))
        assert all(torch.equal(one[site].nan_to_num(), other[site].nan_to_num()) for site in other)


def test_memory_of_several_positions_is_foreseen(tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model)
    for position in ("x_q", "mean:x_q", "y", "mean:y"):
        acts = capture(model, prompts, "icl", ("resid_post", "z"), position)
        held = [*acts.data.values(), acts.label_scores, acts.target_scores, acts.target_ranks]
        assert estimate_memory(model, prompts, "icl", ("resid_post", "z"), position).outputs == sum(
            t.numel() * t.element_size() for t in held
        )


@pytest.mark.parametrize(
    ("position", "text"),
    [
        ("mean:s_q", "got position='mean:s_q'"),
        ("mean:prediction", "a role of several tokens"),
        ((), r"got position=\(\)"),
        (("s_q", "y"), "not both"),
        ("bos", "BOS is not recorded"),
        ("mean:x_q", "means are taken of states alone"),
    ],
)
def test_refusals(position, text, tiny_model, prompts_for):
    model = tiny_model("gpt2")
    with pytest.raises(CaptureError, match=text):
        capture(model, prompts_for(model), "icl", position=position)


def test_ranks_come_back_from_files_and_are_unknown_in_old_ones(tiny_model, prompts_for, tmp_path):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    acts = capture(model, prompts, "icl", ("logits",))
    first = [prompts.contexts[0].label_tokens[q.label][0] for q in prompts.queries]
    by_hand = [int((row > row[token]).sum()) for row, token in zip(acts["logits"], first, strict=True)]
    assert acts.target_ranks.tolist() == by_hand
    assert len(set(by_hand)) > 1
    assert torch.equal(Activations.load(acts.save(tmp_path / "a.safetensors")).target_ranks, acts.target_ranks)
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        meta = file.metadata()
    ((name, text),) = meta.items()
    meta = {
        name: json.dumps({key: value for key, value in json.loads(text).items() if key != "checksum"})
    }  # as old files
    tensors = load_file(tmp_path / "a.safetensors")
    del tensors["target_ranks"]
    save_file(tensors, tmp_path / "old.safetensors", meta)
    assert Activations.load(tmp_path / "old.safetensors").target_ranks.tolist() == [-1] * 7
