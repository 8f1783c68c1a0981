"""Edits under which a prefix is encoded once, on the hooked model and on its twin, against prompts run whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech._base import CaptureError
from iclmech.captures import Row, _hooked_run, _twin_run, capture, iter_run
from iclmech.interventions import InterventionError, RoleTable, add, cut_edges, graft, placed, replace, scale, zero
from iclmech.tasks import Task, build_prompts

SITES = ("resid_pre", "resid_post", "attn_out", "mlp_out", "z", "attn_scores")
PUSH = torch.randn(32, generator=torch.Generator().manual_seed(5))


def edits_of(model: Any, states: torch.Tensor) -> dict[str, list[Any]]:
    return {
        "every site at the last token": [
            *(add(site, PUSH, layers=[0, 2], at=-1) for site in ("resid_pre", "resid_post", "attn_out", "mlp_out")),
            zero("z", layers=1, heads=[1, 2], at="s_q"),
        ],
        "several tokens of the query": [scale("attn_out", 0.3, layers=[0, 1], at=["x_q", "s_q"])],
        "demonstrations and query": [replace("resid_post", PUSH, layers=0, at=["y", "s_q"]), zero("mlp_out", layers=2)],
        "absolute positions": [add("resid_pre", PUSH, layers=1, at=[0, 3, 30])],
        "a state for every query": [graft({0: states[:, 0], 2: states[:, 2]}, "resid_post")],
    }


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "gpt_neo"])
def test_equals_whole_prompts(family, tiny_model, prompts_for):
    """No prompts= in the edits; label words of one and of several tokens, where -1 stays the query's last token."""
    model = tiny_model(family)
    prompts = prompts_for(model, n_queries=4, n_contexts=2)
    states = capture(model, prompts, "zs", ("resid_post",))["resid_post"]
    clean = capture(model, prompts, "icl", ())
    paths = ("cached",) if family == "gpt_neo" else ("fast", "cached")
    for name, edits in edits_of(model, states).items():
        whole = capture(model, prompts, "icl", SITES, interventions=edits, path="uncached")
        assert not torch.allclose(whole.label_scores, clean.label_scores, atol=1e-4), name
        for path in paths:
            acts = capture(model, prompts, "icl", SITES, interventions=edits, path=path)
            torch.testing.assert_close(acts.label_scores, whole.label_scores, atol=1e-5, rtol=1e-5, msg=name)
            for site in SITES:
                torch.testing.assert_close(
                    acts[site], whole[site], atol=2e-5, rtol=1e-5, equal_nan=True, msg=name + site
                )


@pytest.mark.parametrize("path", ["fast", "cached"])
def test_the_prefix_is_encoded_once(path, tiny_model, prompts_for, monkeypatch):
    model, encoded = tiny_model("llama"), []
    prompts = prompts_for(model, words=("a", "positive", "great acting"), n_contexts=2)
    edits = [add("resid_post", PUSH, layers=1, at="s_q"), zero("z", layers=0, at=-1)]
    capture(model, prompts, "icl", interventions=edits, path=path)
    place, name = (_twin_run, "FastRun") if path == "fast" else (_hooked_run, "EncodedPrefix")
    real, job = getattr(place, name).__init__, 2 if path == "fast" else 1
    monkeypatch.setattr(getattr(place, name), "__init__", lambda s, *a: encoded.append(a[job].prefix) or real(s, *a))
    capture(model, prompts, "icl", interventions=edits, path=path)
    assert encoded == [context.tokens for context in prompts.contexts]


def test_minus_one_is_the_prediction_position_under_every_answer(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model, words=("positive film", "negative acting"))
    by_number, by_role = (
        capture(model, prompts, "icl", (), interventions=[add("resid_post", PUSH, layers=1, at=at)], path=path)
        for at, path in ((-1, "auto"), ("s_q", "uncached"))
    )
    torch.testing.assert_close(by_number.label_scores, by_role.label_scores, atol=1e-5, rtol=1e-5)


def test_what_depends_on_the_row_or_reaches_into_the_prefix_runs_whole(tiny_model, prompts_for):
    model = tiny_model("gpt2")
    prompts = prompts_for(model)
    longest = max(len(query.tokens) for query in prompts.queries)
    states = torch.zeros(7, 32)
    per_token = torch.randn(2, 32)
    for edit in (
        add("resid_post", PUSH, layers=0, at=-longest),
        graft({0: states}, "resid_post", at=0),
        replace("resid_post", per_token, layers=0, at=[1, -1]),
        zero("resid_post", layers=0, at=-1).__call__,
    ):
        with pytest.raises(CaptureError, match="interventions are placed"):
            capture(model, prompts, "icl", (), interventions=[edit], path="cached")


def test_a_twin_that_edits_wrongly_is_not_used(fresh_model, prompts_for, monkeypatch):
    model = fresh_model("gpt2")
    prompts = prompts_for(model)
    edit = zero("z", layers=0, at=-1)
    monkeypatch.setattr(_twin_run.TwinEdits, "__call__", lambda self, site, layer, states, at=None: states)
    with pytest.raises(CaptureError, match="with edits of z, the plain twin differs"):
        capture(model, prompts, "icl", (), interventions=[edit], path="fast")
    found = capture(model, prompts, "icl", ("z",), interventions=[edit])
    assert not found["z"][:, 0].any()
    assert found["z"][:, 1].any()


def test_cuts_and_edits_by_role_need_no_prompts_in_capture(tiny_model, prompts_for):
    model = tiny_model("llama")
    prompts = prompts_for(model, n_contexts=2)
    given, known = (
        capture(
            model,
            prompts,
            "icl",
            (),
            interventions=[cut_edges(p, "y->s_q", layers=[1]), zero("z", layers=2, at="y", prompts=p)],
        )
        for p in (prompts, None)
    )
    assert torch.equal(given.label_scores, known.label_scores)
    with (
        pytest.raises(InterventionError, match="give prompts="),
        placed(model, [zero("z", at="y")], [prompts.sequence(0)]),
    ):
        pass
    other = prompts_for(model, seed=9)
    with pytest.raises(InterventionError, match="none of the prompt set"):
        capture(model, other, "icl", (), interventions=[zero("z", layers=0, at="y", prompts=prompts)])


@pytest.mark.parametrize("path", ["fast", "cached", "uncached"])
def test_rows_and_prefix_of_embeddings_have_the_roles_they_are_given(path, tiny_model):
    """Against positions; a cut of edges takes the same table."""
    model = tiny_model("gpt2")
    ids, own = [0, *range(20, 29)], [[5, 9, 70], [80, 81]]
    with torch.no_grad():
        prefix = model.backend.embed(torch.tensor([ids]))[0]
        rows = [model.backend.embed(torch.tensor([row]))[0] for row in own]
    before = RoleTable.of(["bos", *["text", "s", "y"] * 3])
    tables = [RoleTable.of(["text_q", "text_q", "s_q"]), RoleTable.of(["text_q", "s_q"])]
    by_role = [Row(row, (len(row) - 1,), roles=table) for row, table in zip(rows, tables, strict=True)]
    by_place = [Row(row, (len(row) - 1,)) for row in own]
    edits = {
        "roles": [add("resid_post", PUSH, layers=0, at=["y", "s_q"])],
        "places": [add("resid_post", PUSH, layers=0, at=[3, 6, 9, -1])],
    }
    (found,) = iter_run(
        model, prefix, by_role, ("resid_post",), interventions=edits["roles"], path=path, prefix_roles=before
    )
    (wanted,) = iter_run(model, ids, by_place, ("resid_post",), interventions=edits["places"], path="uncached")
    torch.testing.assert_close(found.values["resid_post"], wanted.values["resid_post"], atol=1e-5, rtol=1e-5)
    if path != "fast":
        cut = [cut_edges(None, "y->s_q", layers=[1])]
        (found,) = iter_run(model, prefix, by_role, ("z",), interventions=cut, path=path, prefix_roles=before)
        for row, n in zip(by_place, (1, 0), strict=True):
            pairs = [(len(ids) + row.at[0], key) for key in (3, 6, 9)]
            (one,) = iter_run(model, ids, [row], ("z",), interventions=[cut_edges(None, pairs, layers=[1])])
            torch.testing.assert_close(found.values["z"][n], one.values["z"][0], atol=1e-5, rtol=1e-5)


def test_role_tables_are_checked(tiny_model):
    with pytest.raises(InterventionError, match="got the role 'x'; expected for every token"):
        RoleTable.of(["x"])
    with pytest.raises(InterventionError, match="2 owners for 1 tokens"):
        RoleTable.of(["y"], [0, 0])
    with pytest.raises(CaptureError, match="row 0 has 2 tokens and roles of 1"):
        list(iter_run(tiny_model("gpt2"), [0], [Row([3, 4], (1,), roles=RoleTable.of(["s_q"]))], ()))


def test_an_answer_of_free_text_is_edited_at_the_query(tiny_model):
    model = tiny_model("llama")
    rows = [{"text": "one", "answer": "a film"}, {"text": "it is", "answer": "what it is"}]
    task = Task.from_records(rows, rows, template="{text}:", target_field="answer", name="free")
    prompts = build_prompts(model, task, k=1, n_queries=2)
    edit = [add("resid_post", PUSH, layers=0, at=-1)]
    fast, whole = (capture(model, prompts, "icl", (), interventions=edit, path=p) for p in ("auto", "uncached"))
    torch.testing.assert_close(fast.target_scores, whole.target_scores, atol=1e-5, rtol=1e-5)
    for j, query in enumerate(prompts.queries):
        at = len(prompts.sequence(j)) - 1
        ids = [*prompts.sequence(j), *query.target_tokens[:-1]]
        with torch.no_grad(), placed(model, [add("resid_post", PUSH, layers=0, at=at)], [ids]):
            scores = torch.log_softmax(model.forward(torch.tensor([ids]))[0, at:], -1)
        wanted = scores[range(len(query.target_tokens)), query.target_tokens].mean()
        torch.testing.assert_close(fast.target_scores[j], wanted, atol=1e-5, rtol=1e-5)
