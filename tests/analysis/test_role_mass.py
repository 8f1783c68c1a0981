"""Attention mass by part of the prompt: by hand, and all of it accounted for in runs; head tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iclmech.analysis import AnalysisError, circuit
from iclmech.captures import capture
from iclmech.tasks import Span, Task, build_prompts


def test_mass_by_hand() -> None:
    roles = ["bos", "text", "template", "forerunner", "label", "separator"]
    spans = tuple(Span(role, n, n + 1) for n, role in enumerate(roles))  # type: ignore[arg-type]
    context = SimpleNamespace(tokens=list(range(6)), spans=spans)
    prompts = SimpleNamespace(contexts=[context], queries=[SimpleNamespace(context=0)])
    acts = {
        "context_pattern": torch.tensor([0.05, 0.1, 0.15, 0.2, 0.3, 0.02]).view(1, 1, 1, 6),
        "attn_pattern": torch.tensor([torch.nan, 0.08, 0.1]).view(1, 1, 1, 3),
    }
    mass = circuit.role_mass(acts, prompts)
    assert dict(zip(circuit.MASS_ROLES, mass[0, 0, 0].tolist(), strict=True)) == pytest.approx(
        {"bos": 0.05, "text": 0.25, "forerunner": 0.2, "label": 0.3, "separator": 0.02, "own": 0.18}
    )
    context.tokens = list(range(7))
    with pytest.raises(AnalysisError, match="activations of these prompts"):
        circuit.role_mass(acts, prompts)


@pytest.mark.parametrize("family", ["gpt_neox", "gpt_neo"])
def test_all_mass_is_accounted_for(family: str, tiny_model: Any) -> None:
    model = tiny_model(family)
    train = [{"text": "fine film " * (n % 3 + 1), "label": n % 2} for n in range(8)]
    prompts = build_prompts(
        model, Task.from_records(train, train, label_words=["a", "is"]), k=2, n_queries=4, n_contexts=2
    )
    for setting in ("icl", "zs"):
        acts = capture(model, prompts, setting, ("attn_pattern", "context_pattern"))
        mass = circuit.role_mass(acts, prompts)
        assert torch.allclose(mass.sum(-1), torch.ones(4, 3, 4), atol=1e-5)
        assert (mass[..., 1:5].sum() > 0) == (setting == "icl")


def test_head_table() -> None:
    first = torch.tensor([[0.1, 0.9], [0.5, 0.3]])
    table = circuit.head_table({"a": first, "b": -first})
    assert table[["layer", "head"]].to_numpy().tolist() == [[0, 1], [1, 0], [1, 1], [0, 0]]
    assert circuit.head_table({"a": first, "b": -first}, "b")["a"].iloc[0] == pytest.approx(0.1)
    with pytest.raises(AnalysisError, match="sort_by='c'"):
        circuit.head_table({"a": first}, "c")
    with pytest.raises(AnalysisError, match="one shape"):
        circuit.head_table({"a": first, "b": first[:1]})
