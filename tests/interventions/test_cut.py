"""Cut edges against plain transformers with an explicit additive mask; what the controls cut; composition; refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import reference._models as reference
import torch

from iclmech.captures import capture
from iclmech.interventions import (
    CutMeter,
    InterventionError,
    Layout,
    RoleEdges,
    attention_way,
    cut_edges,
    placed,
    zero,
)
from iclmech.interventions._cut import as_many, of_same_mass
from iclmech.interventions._edges import draws

EDGES = ("x->s", "s->y", "y->s_q", "x_q->s_q")


def edges_by_hand(prompts: Any, j: int, edge: str) -> list[tuple[int, int]]:
    """(query position, key position), from the demonstrations' own bookkeeping."""
    query = prompts.queries[j]
    context = prompts.contexts[query.context]
    start = len(context.tokens)
    s_q = start + len(query.tokens) - 1
    pairs: list[tuple[int, int]] = []
    for d in context.demonstrations:
        first = d.context_start
        labels = range(first + d.label_span[0] - 1, first + d.label_span[1] - 1)
        s = labels[0] - 1
        if edge == "x->s":
            pairs += [(s, key) for key in range(first, s)]
        elif edge == "s->y":
            pairs += [(y, s) for y in labels]
        elif edge == "y->s_q":
            pairs += [(s_q, y) for y in labels]
    return pairs + ([(s_q, key) for key in range(start, s_q)] if edge == "x_q->s_q" else [])


@contextmanager
def masked(model: Any, layers: list[int], pairs: list[tuple[int, int]]) -> Iterator[None]:
    """Add -inf to the mask that the attention modules of some layers are handed."""
    family = reference.family_of(model)

    def before(module: Any, args: Any, kwargs: Any) -> Any:
        hidden = kwargs.get("hidden_states", args[0] if args else None)
        n = hidden.shape[1]
        lowest = torch.finfo(hidden.dtype).min
        mask = torch.full((n, n), lowest).triu(1)
        for at, key in pairs:
            mask[at, key] = lowest
        return args, {**kwargs, "attention_mask": mask[None, None]}

    blocks = reference.blocks(model)
    handles = [
        reference.attention(blocks[n], family).register_forward_pre_hook(before, with_kwargs=True) for n in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "qwen2"])
@pytest.mark.parametrize("edge", EDGES)
def test_equals_a_masked_plain_model(family: str, edge: str, tiny_model: Any, tiny_hf: Any, toy_prompts: Any) -> None:
    model, plain = tiny_model(family), tiny_hf(family)
    prompts = toy_prompts(model)
    layers = [0, 2]
    cut = cut_edges(prompts, edge, layers=layers)
    got = [capture(model, prompts, "icl", ("logits",), interventions=[cut], path=p) for p in ("cached", "uncached")]
    intact = capture(model, prompts, "icl", ("logits",))
    for j in range(len(prompts.queries)):
        with torch.no_grad(), masked(plain, layers, edges_by_hand(prompts, j, edge)):
            wanted = plain(torch.tensor([prompts.sequence(j)])).logits[0, -1]
        for acts in got:
            torch.testing.assert_close(acts["logits"][j], wanted, atol=2e-5, rtol=1e-4)
        assert not torch.allclose(intact["logits"][j], wanted, atol=2e-5)


def test_acts_where_score_and_pattern_hooks_are_inert(tiny_model: Any, tiny_hf: Any, toy_prompts: Any) -> None:
    """GPT-Neo: alternating local layers; the plain model's mask is added on top of its own."""
    model, plain = tiny_model("gpt_neo"), tiny_hf("gpt_neo")
    assert attention_way(model) == "z"
    prompts = toy_prompts(model)
    for edge in EDGES:
        acts = capture(model, prompts, "icl", ("logits",), interventions=[cut_edges(prompts, edge, layers=[0, 1])])
        for j in range(len(prompts.queries)):
            with torch.no_grad(), masked(plain, [0, 1], edges_by_hand(prompts, j, edge)):
                wanted = plain(torch.tensor([prompts.sequence(j)])).logits[0, -1]
            torch.testing.assert_close(acts["logits"][j], wanted, atol=2e-5, rtol=1e-4)


def test_one_head_only(tiny_model: Any, toy_prompts: Any) -> None:
    model = tiny_model("llama")
    prompts = toy_prompts(model)
    sites = ("z",)
    intact = capture(model, prompts, "icl", sites)["z"][:, 0]
    cut = capture(model, prompts, "icl", sites, interventions=[cut_edges(prompts, "y->s_q", layers=0, heads=[2])])["z"][
        :, 0
    ]
    moved = (intact - cut).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [False, False, True, False]


def layouts(prompts: Any) -> tuple[Layout, Layout, Layout]:
    """The prefix alone, a row behind a cached prefix, and the row run whole, for query 0."""
    query = prompts.queries[0]
    context = tuple(prompts.contexts[query.context].tokens)
    own = tuple(query.tokens)
    prefix = Layout(len(context), (0,), (-1,), context, ((),), (None,))
    cached = Layout(len(context), (len(own),), (0,), context, (own,), (0,), cached=True)
    return prefix, cached, Layout(len(context), (len(own),), (0,), context, (own,), (0,))


@pytest.mark.parametrize("edge", EDGES)
def test_random_control(edge: str, tiny_model: Any, toy_prompts: Any) -> None:
    prompts = toy_prompts(tiny_model("gpt2"))
    edges = RoleEdges(prompts, *[[side] for side in edge.split("->")])
    prefix, cached, whole = layouts(prompts)
    rows = edges.rows(whole)
    wanted = edges_by_hand(prompts, 0, edge)
    assert sorted(wanted) == sorted(
        (int(rows.at[n]), key) for n in range(len(rows)) for key in torch.nonzero(rows.keys[n])[:, 0].tolist()
    )
    order = draws(rows, whole, 3, "random edges")
    control = as_many(rows.keys, rows.others(None), order)
    assert (control.sum(-1) == rows.keys.sum(-1)).all(), "as many, row by row"
    assert not rows.others(None)[torch.arange(len(rows)), rows.at].any(), "a self edge is no other edge"
    position = torch.arange(control.shape[1])
    assert not (control & (position >= rows.at[:, None])).any(), "causal, never a self edge"
    room = rows.others(None).sum(-1) >= rows.keys.sum(-1)
    assert not (control & rows.keys)[room].any(), "other edges, as long as there are any"
    split = [edges.rows(part) for part in (prefix, cached)]
    pieces = [draws(r, part, 3, "random edges") for r, part in zip(split, (prefix, cached), strict=True)]
    joined = torch.cat(
        [torch.nn.functional.pad(p, (0, order.shape[1] - p.shape[1]), value=float("inf")) for p in pieces]
    )
    assert torch.equal(joined, order), "the same draws however the run is split"
    assert not torch.equal(draws(rows, whole, 4, "random edges"), order)


def test_as_many_falls_back_on_the_edges_themselves() -> None:
    keys = torch.tensor([[True, True, True, False, False]])
    others = torch.tensor([[False, False, False, True, False]])
    order = torch.tensor([[0.3, 0.1, 0.2, 0.9, torch.inf]])
    assert as_many(keys, others, order).tolist() == [[False, True, True, True, False]]


def test_same_mass_by_hand() -> None:
    keys = torch.tensor([[True, False, False, False, False, False]])
    others = torch.tensor([[False, True, True, True, True, False]])
    order = torch.tensor([[torch.inf, 0.1, 0.2, 0.3, 0.4, torch.inf]])
    pattern = torch.tensor(
        [[[0.3, 0.2, 0.2, 0.05, 0.05, 0.2], [0.1, 0.3, 0.3, 0.1, 0.1, 0.1], [0.8, 0.05, 0.05, 0.05, 0.05, 0]]]
    )
    chosen = of_same_mass(pattern, keys, others, order)
    assert chosen[0, 0].tolist() == [False, True, False, True, True, False]  # .2, (.2 too much), .05, .05
    assert chosen[0, 1].tolist() == [False, False, False, True, False, False]
    assert chosen[0, 2].tolist() == [False, True, True, True, True, False]  # falls short: there is no more


def test_meter_and_the_controls_in_a_run(tiny_model: Any, toy_prompts: Any) -> None:
    model = tiny_model("gpt2")
    prompts = toy_prompts(model, words=("a", "is"))
    meters = {}
    for control in (None, "random", "mass"):
        meters[control] = CutMeter()
        cut = cut_edges(prompts, "y->s_q", layers=[1], control=control, meter=meters[control])
        capture(model, prompts, "icl", (), interventions=[cut])
    labels = len(prompts.contexts[0].demonstrations[0].tokens[slice(*prompts.contexts[0].demonstrations[0].label_span)])
    assert meters[None].mean_edges == meters["random"].mean_edges == 3 * labels
    intact = capture(model, prompts, "icl", ("context_pattern",), layers=[1])["context_pattern"][:, 0]
    mass = torch.stack(
        [
            intact[j, :, [key for _, key in edges_by_hand(prompts, j, "y->s_q")]].sum(-1)
            for j in range(len(prompts.queries))
        ]
    )
    assert meters[None].mean_mass == pytest.approx(float(mass.mean()), rel=1e-5)
    assert meters["mass"].mean_mass <= meters[None].mean_mass * 1.00001
    assert meters["mass"].mean_mass > 0.9 * meters[None].mean_mass


@pytest.mark.parametrize("family", ["gpt2", "gpt_neo"])
def test_compose(family: str, tiny_model: Any, toy_prompts: Any) -> None:
    """Two cuts are the cut of both; an edit of another site stays in force beside a cut, in either order."""
    model = tiny_model(family)
    prompts = toy_prompts(model, words=("a", "is"))

    def scores(*changes: Any) -> torch.Tensor:
        return capture(model, prompts, "icl", (), interventions=changes, path="uncached").label_scores

    y, x = (cut_edges(prompts, e, layers=[1]) for e in ("y->s_q", "x_q->s_q"))
    both = cut_edges(prompts, "y+x_q->s_q", layers=[1])
    torch.testing.assert_close(scores(y, x), scores(both), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(scores(y), scores(both), atol=1e-5)
    silent = zero("z", layers=[1], at=-1)
    torch.testing.assert_close(scores(both, silent), scores(silent, both))
    torch.testing.assert_close(scores(both, silent), scores(silent), atol=1e-5, rtol=1e-5)


def test_gradients_flow_through_a_cut(tiny_model: Any, toy_prompts: Any) -> None:
    """The gradient of a score with respect to what is added at a source: none once all its edges are cut."""
    from iclmech.interventions import add

    model = tiny_model("llama")
    prompts = toy_prompts(model, k=1, n_queries=1, n_contexts=1)
    row = prompts.sequence(0)
    push = torch.zeros(model.shape.d_model, requires_grad=True)

    def gradient(changes: list[Any]) -> float:
        at_y = add("resid_pre", push, layers=0, at="y", prompts=prompts)
        with placed(model, [at_y, *changes], [row]):
            logits = model.forward(torch.tensor([row]))
        return float(torch.autograd.grad(logits[0, -1, 5], push)[0].norm())

    assert gradient([]) > 1e-3
    rest = cut_edges(prompts, "y->sep+x_q+s_q")
    inside = cut_edges(prompts, "y->y")
    assert gradient([cut_edges(prompts, "y->s_q")]) > 1e-4
    assert gradient([rest, inside]) == 0.0


def test_refusals(tiny_model: Any, toy_prompts: Any) -> None:
    model = tiny_model("gpt2")
    prompts = toy_prompts(model)
    with pytest.raises(InterventionError, match="expected 'source->destination'"):
        cut_edges(prompts, "y")
    with pytest.raises(InterventionError, match="got the role 'z'"):
        cut_edges(prompts, "z->s")
    with pytest.raises(InterventionError, match="give prompts="), placed(model, [cut_edges(None, "y->s")], [[0, 1, 2]]):
        pass
    with pytest.raises(InterventionError, match="a self edge is never cut"):
        cut_edges(None, [(3, 3)])
    other = toy_prompts(model, seed=9)
    with pytest.raises(InterventionError, match="none of the prompt set"):
        capture(model, other, "icl", (), interventions=[cut_edges(prompts, "y->s_q")])
    for wrong, text in (({"layers": 7}, "layers 0 to 2"), ({"heads": 4}, "heads 0 to 3")):
        with pytest.raises(InterventionError, match=text):
            capture(model, prompts, "icl", (), interventions=[cut_edges(prompts, "y->s_q", **wrong)])


def test_edges_by_position(tiny_model: Any, toy_prompts: Any, tiny_hf: Callable[..., Any]) -> None:
    model, plain = tiny_model("gpt2"), tiny_hf("gpt2")
    prompts = toy_prompts(model, n_queries=1, n_contexts=1)
    pairs = [(4, 0), (4, 2), (9, 1)]
    acts = capture(model, prompts, "icl", ("logits",), interventions=[cut_edges(None, pairs)])
    with torch.no_grad(), masked(plain, [0, 1, 2], pairs):
        wanted = plain(torch.tensor([prompts.sequence(0)])).logits[0, -1]
    torch.testing.assert_close(acts["logits"][0], wanted, atol=2e-5, rtol=1e-4)
