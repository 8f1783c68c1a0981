"""Facts: the texts, learning them in context and by updates against plain passes, claims, files, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import iclmech as icl
from iclmech._base import PromptError
from iclmech.experiments import ExperimentError
from iclmech.tasks import build_facts
from iclmech.tasks._facts import PLACES


def text_of(prompts: icl.PromptSet, tokens: list[int]) -> str:
    return "".join(prompts.token_strings[t] for t in tokens[1:])


def test_every_question_can_be_answered_from_the_statements_and_only_so() -> None:
    model = icl.load_model("icl-mini")
    prompts = build_facts(model, n_episodes=6, things=3, hops=3, seed=1)
    golds = []
    for query in prompts.queries:
        context = prompts.contexts[query.context]
        assert len(context.demonstrations) == 9
        stated = {d.text.split(" is ")[0]: d.label_word for d in context.demonstrations}
        at = query.text.removesuffix(" is in the")
        for hop in range(3):
            assert (stated[at] in PLACES) == (hop == 2)
            at = stated[at]
        assert PLACES[query.label or 0] == at
        golds.append(query.label)
    assert len(set(golds)) > 1
    assert build_facts(model, 6, 3, 3, seed=1).hash == prompts.hash != build_facts(model, 6, 3, 3, seed=2).hash
    with pytest.raises(PromptError, match="at most 12 things"):
        build_facts(model, things=13)


@pytest.fixture(scope="module")
def result() -> icl.FactsComparison:
    return icl.facts_as_gradients(
        "icl-mini", hops=(1,), things=(2,), n_episodes=3, n_held_out=1, updates=("gd",), rates=(0.0, 0.03), steps=2
    )


def test_cells_are_plain_passes(result: icl.FactsComparison) -> None:
    model = icl.load_model("icl-mini")
    prompts = build_facts(model, 3, 2, 1, 0)
    cells = result.data.sel(hops=1, things=2)
    rate = float(cells["rate"].sel(way="ft:gd"))
    assert rate == 0.03  # a rate that learns has the lower loss
    right: dict[str, list[bool]] = {"zs": [], "icl": [], "ft:gd": []}
    for c, context in enumerate(prompts.contexts):
        update = icl.gradient_descent(model, context, lr=rate, loss="all", parameters="all", epochs=2)
        for query in (q for q in prompts.queries if q.context == c):

            def says(tokens: list[int], query=query, context=context) -> bool:
                with torch.no_grad():
                    logits = model.hooked(torch.tensor([tokens]))[0, -1]
                return max(range(4), key=lambda i: float(logits[context.label_tokens[i][0]])) == query.label

            right["zs"].append(says([prompts.bos, *query.tokens]))
            right["icl"].append(says([*context.tokens, *query.tokens]))
            with update.applied(model):
                right["ft:gd"].append(says([prompts.bos, *query.tokens]))
    for way, found in right.items():
        assert float(cells["accuracy"].sel(way=way)) == pytest.approx(np.mean(found))
    lost = float(cells["below_icl"].sel(way="ft:gd"))
    assert lost == pytest.approx(np.mean(right["icl"]) - np.mean(right["ft:gd"]))


def test_claims_and_file(result: icl.FactsComparison, tmp_path: Path) -> None:
    claims = result.claims()
    assert len(claims) == 3
    assert "1 hop, 1 distracting thing)" in claims["claim"][0]
    again = icl.load(result.save(tmp_path / "facts.nc"))
    assert again.claims().equals(claims)
    assert set(again.figures()) == {"accuracy"}


def test_refusals() -> None:
    with pytest.raises(ExperimentError, match="two sets of facts"):
        icl.facts_as_gradients("icl-mini", n_episodes=1)
