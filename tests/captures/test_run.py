from __future__ import annotations

import inspect

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import Row, _hooked_run, _paths, capture, iter_run
from iclmech.captures._run_rows import Job

ROWS = [
    Row([5, 9, 70, 33], (3,)),
    Row([80], (0,)),
    Row([11, 12, 13, 14, 15, 16, 17, 18, 19], (8,)),
    Row([40, 41], (1,)),
]
PREFIX = [0, *range(20, 60)]
SITES = (
    ("resid_pre", "resid_post", "attn_out", "mlp_out"),
    ("q", "k", "v", "z"),
    ("attn_scores", "attn_pattern"),
)


def gathered(model, prefix, rows, sites, **kwargs):
    """Chunks by row: {row: {site: value}}, attention cut to real keys."""
    found = {}
    for chunk in iter_run(model, prefix, rows, sites, **kwargs):
        for n, row in enumerate(chunk.index):
            keys = chunk.prefix + chunk.lengths[n]
            found[row] = {
                site: value[n][..., :keys] if site.startswith("attn_s") or site == "attn_pattern" else value[n]
                for site, value in chunk.values.items()
            }
    return found


def assert_same(one, other, tol=1e-5) -> None:
    assert sorted(one) == sorted(other)
    for row, sites in one.items():
        assert sorted(sites) == sorted(other[row])
        for site, value in sites.items():
            b = other[row][site]
            assert value.shape == b.shape, site
            assert torch.equal(torch.isnan(value), torch.isnan(b)), site
            a, b = value.nan_to_num(), b.nan_to_num()
            assert float((a - b).abs().max()) <= tol * (1 + float(b.abs().max())), site


@pytest.mark.parametrize("sites", SITES)
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "gpt_neo", "qwen2"])
def test_a_shared_prefix_changes_nothing(family, sites, tiny_model):
    model = tiny_model(family)
    whole = gathered(model, PREFIX, ROWS, sites, path="uncached")
    assert_same(gathered(model, PREFIX, ROWS, sites, path="cached"), whole)
    assert_same(gathered(model, PREFIX, ROWS, sites, path="auto"), whole)


@pytest.mark.parametrize("rotary", [False, True])
def test_native_models_run_prompts_whole(rotary, native_model, tiny_tokenizer):
    more = {"positional_embedding_type": "rotary", "rotary_dim": 8} if rotary else {}
    model = native_model(tiny_tokenizer, **more)
    assert not model.capabilities.cache
    alone = {n: gathered(model, PREFIX, [row], SITES[2])[0] for n, row in enumerate(ROWS)}
    together = gathered(model, PREFIX, ROWS, SITES[2])
    assert_same(together, alone)
    pattern = torch.softmax(together[0]["attn_scores"], -1)
    assert torch.allclose(pattern, together[0]["attn_pattern"], atol=1e-5)
    with pytest.raises(CaptureError, match="no cache"):
        list(iter_run(model, PREFIX, ROWS, (), path="cached"))


def test_rows_come_in_chunks_of_equal_width(tiny_model, monkeypatch):
    model = tiny_model("gpt2")
    expected = gathered(model, PREFIX, ROWS, SITES[0])
    monkeypatch.setattr(_hooked_run, "_BUDGET", 1)
    chunks = list(iter_run(model, PREFIX, ROWS, SITES[0], path="cached"))
    assert [chunk.index for chunk in chunks] == [(1,), (3,), (0,), (2,)]  # shortest first
    monkeypatch.undo()
    assert_same({c.index[0]: {site: v[0] for site, v in c.values.items()} for c in chunks}, expected)


def test_embeddings_stand_in_for_tokens(tiny_model):
    model = tiny_model("llama")
    with torch.no_grad():
        rows = [Row(model.backend.embed(torch.tensor([list(row.tokens)]))[0], row.at) for row in ROWS]
    mixed = [rows[0], ROWS[1], rows[2], ROWS[3]]
    for path in ("cached", "uncached"):
        assert_same(gathered(model, PREFIX, mixed, SITES[0], path=path), gathered(model, PREFIX, ROWS, SITES[0]))


def test_several_positions_of_a_row(tiny_model):
    model = tiny_model("gpt2")
    rows = [Row(row.tokens, (len(row.tokens) - 1, 0)) for row in ROWS]
    (values,) = [c.values["resid_post"] for c in iter_run(model, PREFIX, rows, ("resid_post",)) if len(c.index) == 4]
    assert values.shape == (4, 2, 3, 32)
    first = gathered(model, PREFIX, [Row(row.tokens, (0,)) for row in ROWS], ("resid_post",))
    order = [1, 3, 0, 2]
    for n, row in enumerate(order):
        assert torch.allclose(values[n, 1], first[row]["resid_post"][0], atol=1e-5)


def test_hooks_of_the_user_are_never_bypassed(fresh_model, prompts_for):
    model = fresh_model("gpt2")
    prompts = prompts_for(model)
    plain = capture(model, prompts, "icl")
    point = model.hooked.hook_dict["blocks.1.attn.hook_z"]
    point.add_hook(lambda tensor, hook: tensor * 0)
    try:
        edited = capture(model, prompts, "icl")
        with pytest.raises(CaptureError, match="hooks of its user"):
            capture(model, prompts, "icl", path="cached")
        bias = model.hooked.blocks[1].attn.o.bias
        assert torch.allclose(edited["attn_out"][:, 1], bias.expand(7, -1), atol=1e-6)
    finally:
        point.remove_hooks()
    again = capture(model, prompts, "icl")
    assert torch.equal(again["attn_out"], plain["attn_out"])


def test_interventions_reach_prefix_and_queries(tiny_model):
    """A cut of one layer's attention output, seen by the layers above; layouts are those of the rows in the pass."""
    model, layouts = tiny_model("llama"), []

    def cut(model, layout):
        layouts.append(layout)
        return [("attn_out", 0, lambda tensor: torch.zeros_like(tensor))]

    found = gathered(model, PREFIX, ROWS, ("attn_out", "resid_pre"), interventions=[cut])
    assert layouts[0].prefix == len(PREFIX)
    assert layouts[0].lengths == (1, 2, 4, 9)
    assert layouts[0].index == (1, 3, 0, 2)
    assert not found[0]["attn_out"][:, 0].any()
    untouched = gathered(model, PREFIX, ROWS, ("attn_out", "resid_pre"))
    assert not torch.allclose(found[0]["resid_pre"][:, 2], untouched[0]["resid_pre"][:, 2], atol=1e-3)
    with pytest.raises(CaptureError, match="interventions are placed"):
        list(iter_run(model, PREFIX, ROWS, (), interventions=[cut], path="cached"))


def test_a_graph_is_kept_on_request(tiny_model):
    model = tiny_model("gpt2")
    row = torch.zeros(3, 32, requires_grad=True)
    (chunk,) = iter_run(model, [0], [Row(row, (2,))], ("resid_post",), grad=True, path="uncached")
    (gradient,) = torch.autograd.grad(chunk.values["resid_post"].sum(), [row])
    assert bool(gradient.abs().sum() > 0)
    (chunk,) = iter_run(model, [0], [Row(row, (2,))], ("resid_post",))
    assert not chunk.values["resid_post"].requires_grad


@pytest.mark.parametrize(
    ("prefix", "rows", "text"),
    [
        ([], ROWS, "prefix is empty"),
        ([0] * 250, ROWS, "250 \\+ 9 tokens does not fit the window of 256"),
        ([0], [Row([3, 4], (2,))], "row 0 is recorded at"),
        ([0], [Row([3, 4], (-1,))], "row 0 is recorded at"),
    ],
)
def test_refusals(prefix, rows, text, tiny_model):
    with pytest.raises(CaptureError, match=text):
        list(iter_run(tiny_model("gpt2"), prefix, rows, ("resid_post",)))


def test_an_unknown_path(tiny_model):
    with pytest.raises(CaptureError, match="got path='quick'"):
        inspect.unwrap(_paths.choose)(tiny_model("gpt2"), Job(PREFIX, ROWS, ()), "quick")


def test_nothing_to_run(tiny_model):
    assert list(iter_run(tiny_model("gpt2"), [0], [], ("resid_post",))) == []
