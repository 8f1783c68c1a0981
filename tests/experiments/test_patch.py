"""Patching against plain forward passes of transformers, and exact identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech.experiments import ExperimentError, command_of
from iclmech.tasks import Task, build_prompts

TEXTS = [
    "fine",
    "dull film",
    "it is what it is",
    "great acting, poor story",
    "a",
    "never starts",
    "moves you",
    "the film",
]


@pytest.fixture(scope="module")
def small(tiny_model, tiny_hf):
    """(model, plain model, prompts): two label words of one token each, contexts of two queries."""
    train = [{"text": text, "label": n % 2} for n, text in enumerate(TEXTS)]
    test = [{"text": f"{TEXTS[n]} {n}", "label": n % 2} for n in range(8)]
    task = Task.from_records(train, test, template="{text}:", label_words=["a", "i"], name="small")
    model = tiny_model("llama")
    return model, tiny_hf("llama"), build_prompts(model, task, k=3, n_queries=6, n_contexts=3, seed=1)


def run(plain, tokens, layer=None, head=None, value=None):
    """(logits, z [layer, 32]) at the last token; one head's output replaced where asked."""
    modules = [m for name, m in plain.named_modules() if name.endswith("self_attn.o_proj")]
    seen = []

    def before(n, args):
        states = args[0].clone()
        if n == layer:
            states[0, -1, 8 * head : 8 * head + 8] = value
        seen.append(states[0, -1])
        return (states, *args[1:])

    handles = [m.register_forward_pre_hook(lambda _, a, n=n: before(n, a)) for n, m in enumerate(modules)]
    with torch.no_grad():
        logits = plain(torch.tensor([tokens])).logits[0, -1].double()
    for handle in handles:
        handle.remove()
    return logits, torch.stack(seen)


def odds(logits, prompts, j):
    words = [ids[0] for ids in prompts.contexts[prompts.queries[j].context].label_tokens]
    label = prompts.queries[j].label
    return float(logits[words[label]] - logits[words[1 - label]])


def test_equals_plain_passes_with_a_replaced_head(small):
    model, plain, prompts = small
    found = icl.patch(model, prompts, "z")
    assert found.data["regained"].dims == ("control", "layer", "head")
    for j in (0, 5):
        zero_shot = [prompts.bos, *prompts.queries[j].tokens]
        _, own = run(plain, prompts.sequence(j))
        base = odds(run(plain, zero_shot)[0], prompts, j)
        for layer, head in ((0, 0), (1, 3), (2, 1)):
            edited = run(plain, zero_shot, layer, head, own[layer, 8 * head : 8 * head + 8])[0]
            mine = found.data["regained_by_query"].sel(query=j, control="none", layer=layer, head=head)
            assert float(mine) == pytest.approx(odds(edited, prompts, j) - base, abs=1e-4)
    way = [odds(run(plain, prompts.sequence(j))[0], prompts, j) - odds(run(plain, [prompts.bos, *prompts.queries[j].tokens])[0], prompts, j) for j in range(6)]  # fmt: skip
    assert found.way == pytest.approx(np.mean(way), abs=1e-4)
    np.testing.assert_allclose(found.data["share"], found.data["regained"] / found.way)


@pytest.mark.parametrize(("source", "into"), [("icl", "zs"), ("corrupted", "icl"), ("zs", "corrupted")])
def test_the_last_residual_state_is_the_whole_way(small, source, into):
    model, _, prompts = small
    found = icl.patch(model, prompts, "resid_post", source=source, into=into)
    last = found.data["regained_by_query"].sel(control="none", layer=2)
    way = found.data["log_odds"].sel(setting="source") - found.data["log_odds"].sel(setting="into")
    np.testing.assert_allclose(last, way, atol=1e-4)


def test_the_inputs_of_all_tokens_that_differ_are_the_whole_way(small):
    """Intact and corrupted prompts differ in the labels alone: their embeddings put in make the one into the other."""
    model, _, prompts = small
    found = icl.patch(model, prompts, "resid_pre", source="icl", into="corrupted", roles=("y", "s_q"))
    by_labels = found.data["regained_by_query"].sel(control="none", layer=0, role="y")
    way = found.data["log_odds"].sel(setting="source") - found.data["log_odds"].sel(setting="into")
    np.testing.assert_allclose(by_labels, way, atol=1e-4)
    assert float(np.abs(way).max()) > 1e-3


def test_controls_are_other_states_as_far_away(small):
    from iclmech.captures import capture
    from iclmech.experiments.patching._states_put_in import Side, StatesPutIn

    model, _, prompts = small
    states = StatesPutIn(model, Side(prompts, "icl"), Side(prompts, "zs"), "z", "s_q", 0)
    own, zero_shot = (capture(model, prompts, s, ("z",))["z"][:, 1, 2] for s in ("icl", "zs"))
    random = states.values("random_state", 1, 2)[:, 0]
    torch.testing.assert_close((random - zero_shot).norm(dim=-1), (own - zero_shot).norm(dim=-1))
    assert float((random - own).norm(dim=-1).min()) > 1e-3
    other = states.values("other_query", 1, 2)[:, 0]
    torch.testing.assert_close(other, own[states.other])
    assert all(prompts.queries[i].label != prompts.queries[j].label for j, i in enumerate(states.other))


def test_what_it_says_rests_on_the_other_half_and_it_can_be_repeated(tmp_path):
    found = icl.patch("icl-mini", "mini/sentiment", "resid_post", k=4, n_queries=8)
    claims = found.claims()
    assert len(claims) == 2
    assert "the place is chosen on half of the queries" in claims["rule"][0]
    assert "nats of log-odds" in found.answer()[0]
    again = icl.load(found.save(tmp_path / "patch.nc"))
    assert again.answer() == found.answer()
    assert set(again.figures()) == {"patch"}
    assert "--sites resid_post" in str(command_of(again))


def test_refusals(small):
    model, _, prompts = small
    for more, text in (
        ({"source": "zs"}, "source='zs' and the same"),
        ({"into": "ft"}, "the setting 'ft'"),
        ({"roles": "y"}, "the role 'y' with the setting 'zs'"),
        ({"site": ("z", "resid_post")}, "sites that all have heads"),
    ):
        with pytest.raises(ExperimentError, match=text):
            icl.patch(model, prompts, **more)
