"""Supportive sequences: gradients against autograd by hand, sets matched in norm, a model that is left as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

import iclmech as icl
from iclmech.dynamics import Supportive
from iclmech.dynamics._supportive import SETS
from iclmech.dynamics._supportive_sequences import PARTS, answers, gradient, joined, matched_in_norm, mixture, scores
from iclmech.experiments import ExperimentError
from iclmech.training import OwnModel, token_loss

dyn = icl.dynamics


def test_cosines_are_those_of_gradients_taken_by_hand():
    model = icl.load_model("icl-mini")
    prompts = icl.build_prompts(model, icl.load_task("mini/topic-symbols"), k=2, n_queries=3, n_contexts=3)
    names, candidates = mixture(4, 24, 0)
    assert tuple(names) == PARTS
    weights = [p.tensor for p in model.parameters("all")]

    def by_hand(loss: Any) -> torch.Tensor:
        return torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)]
        )

    module = OwnModel(model)
    losses = []
    for query in prompts.queries:
        ids = [*prompts.contexts[query.context].tokens, *query.tokens]
        (answer,) = prompts.contexts[query.context].label_tokens[query.label or 0]
        losses.append(-model.forward(torch.tensor([ids]))[0, -1].log_softmax(-1)[answer])
    wanted = by_hand(torch.stack(losses).mean())
    assert torch.allclose(gradient(module, answers(prompts)), wanted, atol=1e-6)
    found = scores(module, candidates, wanted)
    for n, batch in enumerate(candidates):
        assert batch.at is not None
        assert batch.weights is not None
        each = F.cross_entropy(model.forward(batch.rows)[0][batch.at], batch.targets, reduction="none")
        mine = by_hand((each * batch.weights).sum() / batch.weights.sum())
        assert found.cosine[n] == pytest.approx(float(F.cosine_similarity(mine, wanted, dim=0)), abs=1e-4)
        assert found.norm[n] == pytest.approx(float(mine.norm()), rel=1e-4)
    alone = [token_loss(module, batch)["loss"].item() for batch in candidates]
    assert token_loss(module, joined(candidates))["loss"].item() == pytest.approx(np.mean(alone), rel=1e-5)


def test_sets_matched_in_norm_are_others_and_as_near_as_can_be():
    norm = np.array([1.0, 2.0, 3.0, 1.1, 2.1, 3.1, 9.0])
    assert sorted(matched_in_norm([0, 1, 2], norm, np.random.default_rng(0))) == [3, 4, 5]


def test_a_model_is_left_as_it_was_and_training_on_top_moves_its_abilities():
    model = icl.load_model("icl-mini@step-3500")
    before, wanted = model.hash(), [p.tensor.requires_grad for p in model.parameters("all")]
    small: dict[str, Any] = {"k": 2, "n_prompts": 4, "chosen": 3, "steps": 2, "seeds": 1}
    found = dyn.supportive(model, "mini/topic-symbols", n_candidates=8, length=32, **small)
    assert model.hash() == before
    assert [p.tensor.requires_grad for p in model.parameters("all")] == wanted
    assert (abs(found.data["nll"].sel(set="supportive") - found.data["nll"].sel(set="none")) > 1e-4).all()
    assert found.data["share"].sel(set="supportive").sum("parts").values.tolist() == pytest.approx([1.0])
    top = np.sort(found.data["cosine"].values[0])[::-1][:3].min()
    assert top >= np.median(found.data["cosine"].values[0])
    with pytest.raises(ExperimentError, match="got 4 candidates for sets of 3"):
        dyn.supportive(model, "mini/topic-symbols", {"own": [[0, 5, 6, 7]] * 4}, **small)
    with pytest.raises(ExperimentError, match="several lengths"):
        dyn.supportive(model, "mini/topic-symbols", {"own": [[0, 5, 6], [0, 5]]}, **small)


def test_claims_follow_what_training_took_away():
    def verdicts(falls: dict[str, float], zero: float = 0.0, seeds: int = 3) -> list[str]:
        spread = np.linspace(-0.01, 0.01, seeds)
        icl_nll = np.array([1.0 - falls.get(name, 0.0) + 0 * spread for name in SETS])
        icl_nll[1] += spread
        zs_nll = np.array([1.0 - (zero if name == "supportive" else 0.0) + 0 * spread for name in SETS])
        data = xr.Dataset(
            {"nll": (("set", "setting", "seed"), np.stack([icl_nll, zs_nll], 1))},
            {"set": list(SETS), "setting": ["icl", "zs"]},
        )
        return Supportive(data).claims()["verdict"].tolist()

    assert verdicts({"supportive": 0.3, "random": 0.1}) == ["holds"] * 4
    assert verdicts({"supportive": 0.1, "random": 0.1, "norm-matched": 0.2})[:2] == ["not shown", "does not hold"]
    assert verdicts({"supportive": 0.3, "random": 0.1}, zero=0.4)[3] == "does not hold"
    assert verdicts({"supportive": 0.3}, seeds=2) == ["not shown"] * 4
