"""Fresh queries behind every prefix of a row, against a plain transformers pass for each."""

from __future__ import annotations

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import _twin_run, queries_at_prefixes
from iclmech.interventions import zero

ROW = [0, *range(20, 45)]
QUERIES = [[5, 9, 70], [80], [11, 12]]


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "qwen2", "gpt_neo"])
def test_equals_a_plain_pass_per_prefix(family, tiny_model, tiny_hf):
    model, plain = tiny_model(family), tiny_hf(family)
    found = queries_at_prefixes(model, ROW, QUERIES, sites=("logits", "resid_post"), layers=[1])
    assert found.prefixes == tuple(range(1, len(ROW) + 1))
    assert found["resid_post"].shape == (len(ROW), 3, 1, 32)
    for p, n in enumerate(found.prefixes):
        for q, query in enumerate(QUERIES):
            with torch.no_grad():
                out = plain(torch.tensor([[*ROW[:n], *query]]), output_hidden_states=True)
            torch.testing.assert_close(found["logits"][p, q], out.logits[0, -1], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(found["resid_post"][p, q, 0], out.hidden_states[2][0, -1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_embeddings_and_some_prefixes_on_every_path(family, tiny_model, monkeypatch):
    model = tiny_model(family)
    with torch.no_grad():
        row = model.backend.embed(torch.tensor([ROW]))[0]
        queries = [model.backend.embed(torch.tensor([query]))[0] for query in QUERIES]
    by_id = queries_at_prefixes(model, ROW, QUERIES, [26, 3, 7])
    for path in ("fast", "cached", "uncached"):
        found = queries_at_prefixes(model, row, queries, [26, 3, 7], path=path)
        torch.testing.assert_close(found["logits"], by_id["logits"], atol=1e-5, rtol=1e-5)
    monkeypatch.setitem(_twin_run._TOKENS, "cpu", 4)
    torch.testing.assert_close(
        queries_at_prefixes(model, row, queries, [26, 3, 7])["logits"], by_id["logits"], atol=1e-5, rtol=1e-5
    )


def test_scores_close_what_lies_behind_the_prefix(tiny_model):
    model = tiny_model("llama")
    fast, slow = (queries_at_prefixes(model, ROW, [[7]], [4], ("attn_scores",), path=p) for p in ("fast", "uncached"))
    scores = fast["attn_scores"][0, 0]
    assert bool(torch.isnan(scores[..., 4 : len(ROW)]).all())
    seen = torch.cat([scores[..., :4], scores[..., len(ROW) :]], -1)
    torch.testing.assert_close(seen, slow["attn_scores"][0, 0], atol=1e-5, rtol=1e-5)


def test_derivatives_by_the_query_at_every_prefix(tiny_model):
    model = tiny_model("llama")
    with torch.no_grad():
        query = model.backend.embed(torch.tensor([[5, 9]]))[0]
    gradients = []
    for path in ("fast", "uncached"):
        point = query.clone().requires_grad_()
        logits = queries_at_prefixes(model, ROW, [point], [2, 9, 26], path=path, grad=True)["logits"]
        gradients.append(torch.autograd.grad(logits[1, 0, 7], point)[0])
    assert float(gradients[0].abs().max()) > 1e-3
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=1e-4)


def test_interventions_are_made_behind_every_prefix(tiny_model):
    model = tiny_model("gpt2")
    found = queries_at_prefixes(model, ROW, QUERIES, [3], ("attn_out",), interventions=[zero("attn_out", layers=1)])
    assert not found["attn_out"][:, :, 1].any()
    assert found["attn_out"][:, :, 2].any()


@pytest.mark.parametrize(
    ("queries", "prefixes", "path", "text"),
    [
        (QUERIES, [0], "auto", "a prefix of 0 tokens; expected"),
        (QUERIES, [27], "auto", "prefixes of 1 to 26"),
        (QUERIES, [], "auto", "got no prefix"),
        ([], None, "auto", "got no query"),
        ([[3] * 240], None, "auto", "does not fit the window"),
    ],
)
def test_refusals(queries, prefixes, path, text, tiny_model):
    with pytest.raises(CaptureError, match=text):
        queries_at_prefixes(tiny_model("gpt2"), ROW, queries, prefixes, path=path)
