"""`Vector`: arithmetic, files, and what it does to a pass, on every way through a model and outside captures."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import iclmech as icl
from iclmech.vectors import Vector, VectorError

SITES = ("resid_post", "mlp_out", "logits")


@pytest.fixture(scope="module")
def model() -> icl.ICLModel:
    return icl.load_model("icl-mini")


@pytest.fixture(scope="module")
def prompts(model: icl.ICLModel) -> icl.PromptSet:
    return icl.build_prompts(model, icl.load_task("mini/sentiment"), k=6, n_queries=7)


@pytest.fixture(scope="module")
def vector(model: icl.ICLModel) -> Vector:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(model.shape.n_layers, model.shape.d_model, generator=generator)
    return Vector(values, layer=1, meta={"method": "test", "nothing": None})


@pytest.mark.parametrize("path", ["fast", "cached", "uncached"])
@pytest.mark.parametrize("setting", ["zs", "icl"])
def test_a_replaced_state_is_the_vector_and_all_before_it_is_untouched(model, prompts, vector, path, setting):
    before = icl.capture(model, prompts, setting, SITES)
    with vector.applied(model, layer=2, strength=0.25):
        after = icl.capture(model, prompts, setting, SITES, path=path)
    assert after.setting == f"{setting}+vector:{vector.hash}@2×0.25"
    expected = 0.75 * before["resid_post"][:, 2] + 0.25 * vector.values[2]
    torch.testing.assert_close(after["resid_post"][:, 2], expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(after["resid_post"][:, :2], before["resid_post"][:, :2], atol=2e-5, rtol=1e-5)
    assert (after["logits"] - before["logits"]).abs().max() > 0.1


def test_the_fast_path_and_whole_prompts_agree_under_a_vector_for_every_token(model, prompts, vector):
    everywhere = Vector(vector.values, "mlp_out", "keep_norm", None, together=True)
    found = []
    for path in ("fast", "uncached"):
        with everywhere.applied(model, strength=0.3):
            found.append(icl.capture(model, prompts, "icl", SITES, path=path))
    torch.testing.assert_close(found[0]["logits"], found[1]["logits"], atol=2e-4, rtol=1e-4)


def test_keep_norm_turns_the_write_of_every_mlp_and_keeps_its_length(model, prompts, vector):
    clean = icl.capture(model, prompts, "zs", SITES)
    v = Vector(vector.values, "mlp_out", "keep_norm", None, layer=0)
    with v.applied(model, strength=0.4):
        turned = icl.capture(model, prompts, "zs", SITES)
    x, y, direction = clean["mlp_out"][:, 0].double(), turned["mlp_out"][:, 0].double(), v.values[0].double()
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1), atol=1e-5, rtol=1e-5)
    n = lambda t: t / t.norm(dim=-1, keepdim=True)  # noqa: E731 - a name for one line
    push = 0.4 * (1 + (n(x) @ -n(direction)).clamp(min=0))
    expected = n(n(x) + push[:, None] * n(direction)) * x.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)


def test_strength_zero_and_the_end_of_the_block_give_the_plain_run_bit_for_bit(model, prompts, vector):
    plain = icl.capture(model, prompts, "zs", SITES)
    with vector.applied(model, strength=0.0):
        nothing = icl.capture(model, prompts, "zs", SITES)
    with pytest.raises(KeyboardInterrupt), vector.applied(model):
        raise KeyboardInterrupt
    after = icl.capture(model, prompts, "zs", SITES, path="fast")
    for site in SITES:
        assert torch.equal(plain[site], nothing[site])
        assert torch.equal(plain[site], after[site])
    assert after.setting == "zs"
    assert "generate" not in vars(model.hooked)


def test_variants_under_a_vector_have_it_too(model, prompts, vector):
    edit = icl.interventions.zero("z", layers=2, heads=1, at="s_q")
    with vector.applied(model):
        one = icl.capture(model, prompts, "icl", ("resid_post",), interventions=[edit])
        many = icl.captures.capture_variants(model, prompts, [(), edit], "icl", ("resid_post",))
    torch.testing.assert_close(many["resid_post"][:, 1], one["resid_post"], atol=2e-4, rtol=1e-4)
    assert (many["resid_post"][:, 0] - many["resid_post"][:, 1]).abs().max() > 1e-3


def greedy(model: icl.ICLModel, ids: list[int], n: int, vector: Vector) -> tuple[list[int], torch.Tensor]:
    """The prompt's last token edited with TransformerLens' own hooks, in prompts run whole: tokens, and the logits of each."""
    last, logits = len(ids) - 1, []

    def put(tensor: Any, hook: Any) -> Any:
        tensor[:, last] = vector.values[1]
        return tensor

    for _ in range(n):
        with torch.no_grad(), model.hooked.hooks(fwd_hooks=[("blocks.1.hook_resid_post", put)]):
            logits.append(model.hooked(torch.tensor([ids]))[0, -1])
        ids = [*ids, int(logits[-1].argmax())]
    return ids, torch.stack(logits)


@pytest.mark.parametrize("cache", [True, False])
def test_generation_has_the_prompts_last_token_edited_and_none_of_its_own(model, prompts, vector, cache):
    ids = prompts.sequence(0)
    tokens, logits = greedy(model, ids, 4, vector)
    options = {"do_sample": False, "verbose": False, "return_type": "tokens", "stop_at_eos": False}
    with vector.applied(model):
        for _ in range(2):  # the second prompt is a first pass again
            found = model.hooked.generate(
                torch.tensor([ids]), max_new_tokens=4, use_past_kv_cache=cache, output_logits=True, **options
            )
            assert found.sequences[0].tolist() == tokens
            torch.testing.assert_close(torch.cat(found.logits), logits, atol=1e-3, rtol=1e-3)


def test_a_pass_of_ones_own_has_its_last_token_edited_and_roles_it_cannot_know_are_refused(model, prompts, vector):
    rows = torch.tensor([[prompts.bos, *prompts.queries[0].tokens]])
    with vector.applied(model):
        captured = icl.capture(model, prompts, "zs", ("logits",))
        torch.testing.assert_close(model.forward(rows)[0, -1].detach(), captured["logits"][0], atol=1e-4, rtol=1e-4)
    of_text = Vector(vector.values, where="text_q", layer=1)
    with of_text.applied(model):
        assert (icl.capture(model, prompts, "zs", ("logits",))["logits"] - captured["logits"]).abs().max() > 0.01
        with pytest.raises(icl.interventions.InterventionError, match="which tokens play them"):
            model.forward(rows)


def test_vectors_nest(model, prompts, vector):
    with vector.applied(model, layer=0), vector.applied(model, layer=2):
        both = icl.capture(model, prompts, "zs", ("resid_post",))
    torch.testing.assert_close(both["resid_post"][0, 0], vector.values[0])
    torch.testing.assert_close(both["resid_post"][0, 2], vector.values[2])
    with vector.applied(model, layer=2):
        one = icl.capture(model, prompts, "zs", ("resid_post",))
    assert (one["resid_post"][0, 0] - vector.values[0]).abs().max() > 0.1


def test_arithmetic_is_that_of_the_values_and_keeps_what_agrees(vector):
    twice = 2 * vector
    torch.testing.assert_close((twice - vector + -vector).values, torch.zeros_like(vector.values))
    assert (vector + vector.at(2)).layer is None
    assert (vector + twice).layer == 1
    with pytest.raises(VectorError, match="how replace and add"):
        _ = vector + Vector(vector.values, how="add")


@pytest.mark.parametrize("kind", ["random", "signs"])
def test_controls_have_the_length_of_every_layer_and_another_direction(vector, kind):
    a, b, again = (vector.like(kind, seed=s) for s in (0, 1, 0))
    torch.testing.assert_close(a.norms, vector.norms)
    assert torch.equal(a.values, again.values)
    assert not torch.equal(a.values, b.values)
    assert torch.nn.functional.cosine_similarity(a.values, vector.values, dim=-1).abs().max() < 0.6
    if kind == "signs":
        assert torch.equal(a.values.abs(), vector.values.abs())


def test_a_file_brings_everything_back(vector, tmp_path):
    found = Vector.load(vector.save(tmp_path / "v.safetensors"))
    assert torch.equal(found.values, vector.values)
    assert found.hash == vector.hash
    assert (found.layer, found.layers, found.meta) == (1, vector.layers, vector.meta)


def test_what_makes_no_sense_is_refused(model, vector, fresh_model):
    with pytest.raises(VectorError, match="no layer was chosen"), vector.at(None).applied(model):
        pass
    with pytest.raises(VectorError, match="the vector has layers"), vector.applied(model, layer=9):
        pass
    with pytest.raises(VectorError, match="fits the model that it was made on"), vector.applied(fresh_model("gpt2")):
        pass
    with pytest.raises(VectorError, match="a row for every layer"):
        Vector(vector.values, layers=(0, 1))
