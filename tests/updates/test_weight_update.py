from __future__ import annotations

import json
import math

import pytest
import reference
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from iclmech._base import FileError, UpdateError
from iclmech.updates import WeightUpdate, gradient_descent, layer_causal_gd


@pytest.fixture(scope="module")
def update(tiny_model, context) -> WeightUpdate:
    return gradient_descent(tiny_model("qwen2"), context, lr=0.1)


def test_deltas_in_canonical_shapes(update, tiny_model):
    shape = tiny_model("qwen2").shape
    assert (shape.n_heads, shape.n_kv_heads) == (4, 2)
    for kind in ("k", "v"):
        assert update.delta(1, kind).shape == (2, 32, 8)
        assert update.delta(1, f"{kind}_bias").shape == (2, 8)


def test_canonical_delta_is_what_changes_a_head(update, tiny_model):
    """x · (W + ΔW) of head h moves by x · delta[h], read off the model's own hook_v."""
    model, layer = tiny_model("qwen2"), 0
    seen = []
    tokens = torch.tensor([[0, 50, 60, 70, 80]])

    def read() -> torch.Tensor:
        with model.hooks([("v", layer, lambda t: seen.append(t.detach().clone()))]), torch.no_grad():
            model.forward(tokens)
        return seen.pop()[0]

    before = read()
    with update.applied(model):
        moved = read() - before  # layer 0: its input has not changed
    block = model.hooked.blocks[layer]
    with torch.no_grad():
        x = block.ln1(model.backend.embed(tokens))[0]
    expected = torch.einsum("td,hdf->thf", x, update.delta(layer, "v")) + update.delta(layer, "v_bias")
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


def test_norms(update):
    parts = [
        d
        for layer in range(3)
        for kind in ("k", "v", "k_bias", "v_bias")
        if (d := update.delta(layer, kind)) is not None
    ]
    assert update.norm() == pytest.approx(math.sqrt(sum(float(d.norm()) ** 2 for d in parts)))
    assert update.norm() == pytest.approx(math.sqrt(sum(update.norm(layer) ** 2 for layer in range(3))))
    heads = update.head_norms(1, "v")
    assert float(heads.norm()) == pytest.approx(float(update.delta(1, "v").norm()))
    assert update.head_norms(1, "v").shape == (2,)


def test_relative_norms(update, tiny_model):
    model = tiny_model("qwen2")
    relative = update.relative_norms()
    for parameter in model.parameters("attn_kv"):
        expected = float(update.deltas[parameter.name].norm() / parameter.tensor.detach().norm())
        assert relative[parameter.name] == pytest.approx(expected, rel=1e-5)
    assert 0 < update.relative_norm() < max(relative.values())


def test_errors_of_delta(update):
    with pytest.raises(UpdateError, match="layers 0 … 2"):
        update.delta(3, "k")
    with pytest.raises(UpdateError, match="k_bias"):
        update.delta(0, "q")


def test_scaled_and_added(update):
    twice, sum_ = update.scaled(2), update + update.scaled(-0.5)
    for name, delta in update.deltas.items():
        assert torch.equal(twice.deltas[name], 2 * delta)
        torch.testing.assert_close(sum_.deltas[name], 0.5 * delta)
    assert len({update.hash, twice.hash, sum_.hash}) == 3
    assert update.scaled(1).hash == update.hash
    with pytest.raises(UpdateError, match="finite"):
        update.scaled(math.inf)


def test_sum_keeps_what_only_one_changes(tiny_model, context):
    model = tiny_model("gpt2")
    k, v = (gradient_descent(model, context, lr=0.1, parameters=lambda n, _, p=p: f".{p}.weight" in n) for p in "kv")
    both = k + v
    assert torch.equal(both.delta(0, "k"), k.delta(0, "k"))
    assert torch.equal(both.delta(2, "v"), v.delta(2, "v"))


def test_updates_of_two_models_do_not_add(update, tiny_model, context):
    other = gradient_descent(tiny_model("gpt2"), context, lr=0.1)
    with pytest.raises(UpdateError, match="same weights"):
        update + other


def test_random_update_has_the_norm_matrix_by_matrix(update):
    noise, again, other = update.random_like(0), update.random_like(0), update.random_like(1)
    assert noise.hash == again.hash != other.hash
    assert noise.meta["like"] == update.hash
    for name, delta in update.deltas.items():
        assert float(noise.deltas[name].norm()) == pytest.approx(float(delta.norm()), rel=1e-5)
        if delta.numel() > 100:
            cosine = float((noise.deltas[name] * delta).sum() / delta.norm() ** 2)
            assert abs(cosine) < 5 / math.sqrt(delta.numel())
            assert float(noise.deltas[name].mean().abs()) < 5 * float(delta.norm()) / delta.numel()


def test_random_update_of_nothing_is_nothing(tiny_model, context):
    noise = gradient_descent(tiny_model("gpt2"), context, lr=0.0).random_like(0)
    assert noise.norm() == 0.0


def test_save_and_load(update, tiny_model, fresh_model, tmp_path):
    path = tmp_path / "update.safetensors"
    update.save(path)
    loaded = WeightUpdate.load(path)
    assert loaded.hash == update.hash
    assert loaded.meta == json.loads(json.dumps(dict(update.meta)))
    assert loaded.layout == update.layout
    assert torch.equal(loaded.delta(2, "v_bias"), update.delta(2, "v_bias"))
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["iclmech"].isascii()
    again = fresh_model("qwen2")  # the same weights, loaded once more
    with loaded.applied(again), update.applied(tiny_model("qwen2")):
        assert again.hash() == tiny_model("qwen2").hash()


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileError, match="not a file"):
        WeightUpdate.load(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(FileError, match="weight_update"):
        WeightUpdate.load(path)


def test_meta_says_where_it_comes_from(tiny_model, context):
    update = layer_causal_gd(tiny_model("gpt2"), context, lr=0.1, loss="all", order="bottom_up")
    meta = update.meta
    assert (meta["method"], meta["lr"], meta["loss"], meta["order"], meta["k"]) == ("lcgd", 0.1, "all", "bottom_up", 4)
    assert "torch" in meta["provenance"]["versions"]
    json.dumps(dict(meta), allow_nan=False)


def test_shown_as_a_table(update):
    shown = update._repr_html_()
    assert shown.count("<tr>") == 1 + 3
    assert update.hash in shown
    assert update.hash in repr(update)


def rank_one(model, layer: int, kind: str, seed: int = 0) -> tuple[str, torch.Tensor, torch.Tensor]:
    """Name of a projection, B and A of a LoRA of rank 1."""
    parameter = next(p for p in model.parameters() if (p.layer, p.kind) == (layer, kind))
    draw = torch.Generator().manual_seed(seed)
    out, into = parameter.tensor.shape
    return parameter.name, torch.randn(out, 1, generator=draw), torch.randn(1, into, generator=draw)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_hand_made_lora_is_an_update_like_any_other(family, tiny_model, tiny_hf, context, untouched, tmp_path):
    model, plain = tiny_model(family), tiny_hf(family)
    check = untouched(model)
    name, b, a = rank_one(model, 1, "v")
    update = WeightUpdate.from_deltas(model, {name: 0.1 * b @ a}, {"method": "lora", "rank": 1})
    weight = reference.parameter_of(plain, 1, "v")
    own = reference.canonical(plain, "v", weight.data)
    heads = model.shape.n_kv_heads
    own += 0.1 * torch.einsum("hf,d->hdf", b.view(heads, -1), a[0])
    tokens = torch.tensor([context.tokens])
    with update.applied(model), torch.no_grad():
        torch.testing.assert_close(model.forward(tokens), plain(tokens).logits, rtol=0, atol=2e-4)
        assert float((plain(tokens).logits - tiny_hf(family)(tokens).logits).abs().max()) > 0.1
    check()
    assert torch.linalg.matrix_rank(update.deltas[name]) == 1
    assert update.meta["method"] == "lora"
    assert (update.meta["rank"], update.n_layers) == (1, 3)
    update.save(tmp_path / "lora.safetensors")
    assert WeightUpdate.load(tmp_path / "lora.safetensors").hash == update.hash


def test_deltas_of_an_update_make_the_same_update(update, tiny_model):
    again = WeightUpdate.from_deltas(tiny_model("qwen2"), update.deltas)
    assert (again.hash, again.layout) == (update.hash, update.layout)


def test_deltas_made_on_top_of_an_update_need_it(update, tiny_model):
    model = tiny_model("qwen2")
    name, b, a = rank_one(model, 0, "k")
    with update.applied(model):
        second = WeightUpdate.from_deltas(model, {name: b @ a}, {"requires": []})
        assert second.model_hash == update.model_hash
    assert second.requires == (update.hash,)
    with pytest.raises(UpdateError, match="apply that one first"), second.applied(model):
        pass


def test_deltas_are_copied_and_widened(tiny_model):
    model = tiny_model("gpt2")
    name, b, a = rank_one(model, 0, "k")
    delta = (b @ a).bfloat16()
    update = WeightUpdate.from_deltas(model, {name: delta})
    delta.zero_()
    assert update.deltas[name].dtype == torch.float32
    assert update.norm() > 0
    assert WeightUpdate.from_deltas(model, {name: (b @ a).double()}).deltas[name].dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "delta", "meta", "text"),
    [
        ("blocks.9.attn.k", torch.zeros(2), {}, "deltas of blocks.9.attn.k; the parameters of .* are named like"),
        (None, torch.zeros(3, 3), {}, r"shape \(3, 3\); expected \(32, 32\)"),
        (None, torch.zeros(32, 32, dtype=torch.long), {}, "dtype torch.int64"),
        (None, torch.zeros(32, 32, dtype=torch.complex64), {}, "dtype torch.complex64"),
        (None, torch.full((32, 32), math.nan), {}, "not finite"),
        (None, torch.zeros(32, 32), {"when": torch.zeros(1)}, "JSON"),
        (None, torch.zeros(32, 32), {"loss": math.inf}, "JSON"),
    ],
)
def test_deltas_that_cannot_be_added_are_refused(name, delta, meta, text, tiny_model):
    model = tiny_model("gpt2")
    with pytest.raises(UpdateError, match=text):
        WeightUpdate.from_deltas(model, {name or model.parameters()[0].name: delta}, meta)


def test_no_deltas_are_no_update(tiny_model):
    with pytest.raises(UpdateError, match="no parameter"):
        WeightUpdate.from_deltas(tiny_model("gpt2"), {})
