"""Losses of one's own, on token ids and on embedding rows, against plain transformers models."""

from __future__ import annotations

import inspect

import pytest
import reference
import torch
from reference._models import blocks, readout
from test_gd import relative_error
from torch import nn

from iclmech._base import UpdateError
from iclmech.models import twin_of
from iclmech.models._verified import verdict
from iclmech.updates import Sample, adamw, cross_entropy, gradient_descent, layer_causal_gd, squared_error
from iclmech.updates._losses import read_numbers

TOKEN = 7
METHODS = {"gd": gradient_descent, "lcgd": layer_causal_gd}


@pytest.fixture(scope="module")
def episodes() -> list[tuple[torch.Tensor, list[int], torch.Tensor]]:
    """Embedding rows [position, 32], positions read, targets: few positions, and most of them."""
    draw = torch.Generator().manual_seed(3)
    sizes = [(9, [2, 4, 8]), (6, [5]), (11, list(range(1, 11)))]
    return [(torch.randn(n, 32, generator=draw), at, torch.randn(len(at), generator=draw)) for n, at in sizes]


def by_hand(plain, episodes, lr: float, causal: bool, number) -> dict[tuple[int, str], torch.Tensor]:
    """ΔW of keys and values by squared error, a step per episode, on inputs_embeds; `number`: logits → numbers."""
    places = [(layer, kind) for layer in range(3) for kind in ("k", "v", "k_bias", "v_bias")]
    weights = {place: w for place in places if (w := reference.parameter_of(plain, *place)) is not None}
    before = {place: w.detach().clone() for place, w in weights.items()}
    layers = blocks(plain)
    for rows, at, targets in episodes:
        outputs: list[torch.Tensor] = []

        def cut(_module, args, kwargs):
            if args:
                return (args[0].detach(), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach()}

        def keep(_module, _args, output, outputs=outputs):
            outputs.append(output[0] if isinstance(output, tuple) else output)

        handles = [block.register_forward_hook(keep) for block in layers]
        handles += [block.register_forward_pre_hook(cut, with_kwargs=True) for block in layers if causal]
        logits = plain(inputs_embeds=rows[None]).logits
        for handle in handles:
            handle.remove()
        read = [readout(plain, out) for out in outputs] if causal else [logits]
        loss = sum(nn.functional.mse_loss(number(each[0, at]), targets) for each in read)
        gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        # a fused projection holds several places; each takes its own part of the one gradient
        with torch.no_grad():
            for ((_, kind), weight), gradient in zip(weights.items(), gradients, strict=True):
                reference.canonical(plain, kind, weight.data).sub_(lr * reference.canonical(plain, kind, gradient))
    return {
        (layer, kind): reference.canonical(plain, kind, weight.detach() - before[layer, kind])
        for (layer, kind), weight in weights.items()
    }


def worst(update, expected) -> float:
    return max(float((update.delta(layer, kind) - delta).abs().max()) for (layer, kind), delta in expected.items())


@pytest.mark.parametrize("through", ["twin", "hooks"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "qwen2"])
def test_squared_error_on_embedding_rows(family, method, through, tiny_model, tiny_hf, episodes, untouched):
    """The number is the logit of one token; GD and LCGD, by the twin and by hooks, equal transformers by hand."""
    model = tiny_model(family)
    check = untouched(model)
    samples = [Sample(rows, at, squared_error(targets, TOKEN)) for rows, at, targets in episodes]
    expected = by_hand(tiny_hf(family), episodes, 0.01, method == "lcgd", lambda logits: logits[:, TOKEN])
    hooks = [("attn_out", 0, lambda tensor: None)] if through == "hooks" else []
    with model.hooks(hooks):
        update = METHODS[method](model, samples, lr=0.01)
    assert worst(update, expected) <= 1e-5
    assert relative_error(update, expected) <= 1e-4
    assert update.relative_norm() > 0.005
    assert (update.meta["loss"], update.meta["k"]) == ("own", 3)
    check()


def test_embedding_rows_go_through_the_twin(fresh_model, episodes):
    model = fresh_model("llama")
    samples = [Sample(rows, at, squared_error(targets, TOKEN)) for rows, at, targets in episodes]
    gradient_descent(model, samples, lr=0.01)
    assert verdict(twin_of(model), "through, few True, embeddings", lambda: "never tried") == ""


def test_every_way_of_mixed_samples_is_tried(fresh_model, episodes, context):
    """Ids and embedding rows in one call, read at few and at most positions."""
    model = fresh_model("llama")
    own = [Sample(rows, at, squared_error(targets, TOKEN)) for rows, at, targets in episodes]
    own.append(Sample(context.demonstrations[0].tokens, [0, 1]))
    together = layer_causal_gd(model, own, lr=0.01)
    for way in ("few True, embeddings", "few False, embeddings", "few True, ids"):
        assert verdict(twin_of(model), f"batched, {way}", lambda: "never tried") == ""
    with model.hooks([("attn_out", 0, lambda tensor: None)]):
        hooked = layer_causal_gd(model, own, lr=0.01)
    assert (together + hooked.scaled(-1)).norm() < 1e-4 * hooked.norm()


@pytest.mark.parametrize("method", METHODS)
def test_a_direction_of_the_vocabulary(method, tiny_model, tiny_hf, episodes):
    direction = torch.randn(tiny_model("llama").shape.d_vocab, generator=torch.Generator().manual_seed(0)) / 20
    samples = [Sample(rows, at, squared_error(targets, direction)) for rows, at, targets in episodes]
    expected = by_hand(tiny_hf("llama"), episodes, 0.01, method == "lcgd", lambda logits: logits @ direction)
    rates = METHODS[method](tiny_model("llama"), samples, lr=[0.0, 0.01])
    assert relative_error(rates[1], expected) <= 1e-4
    assert rates[0].norm() == 0


@pytest.mark.parametrize("options", [{}, {"strategy": "layerwise"}, {"order": "bottom_up"}])
def test_tokens_as_samples_are_the_demonstrations(options, tiny_model, context):
    model = tiny_model("gpt2")
    own = []
    for demo in context.demonstrations:
        start, stop = demo.label_span
        own.append(Sample(demo.tokens, range(start - 1, stop - 1)))
    targets = [Sample(s.inputs, s.positions, cross_entropy([s.inputs[i + 1] for i in s.positions])) for s in own]
    expected = layer_causal_gd(model, context, lr=0.1, **options)
    for samples in (own, targets):
        update = layer_causal_gd(model, samples, lr=0.1, **options)
        assert update.hash == expected.hash
        assert update.meta["demonstrations"] == expected.meta["demonstrations"]


def test_embeddings_of_tokens_are_the_tokens(tiny_model, context):
    """Rows looked up in the model's own embedding give what the ids give, in every method."""
    model = tiny_model("gpt2")
    ids, rows = [], []
    for demo in context.demonstrations:
        at = range(demo.label_span[0] - 1, demo.label_span[1] - 1)
        loss = cross_entropy(demo.tokens[slice(*demo.label_span)])
        ids.append(Sample(demo.tokens, at, loss))
        rows.append(Sample(model.backend.embed(torch.tensor([demo.tokens]))[0].detach(), at, loss))
    for method in (gradient_descent, layer_causal_gd, adamw):
        one, other = (method(model, samples, lr=0.01) for samples in (ids, rows))
        names = [name for name in one.deltas if not name.endswith("k.bias")]  # whose gradient is rounding alone
        for name in names:
            torch.testing.assert_close(one.deltas[name], other.deltas[name], rtol=1e-4, atol=1e-6)
        assert one.norm() > 0


def test_any_function_of_the_logits_at_a_position_is_a_loss(tiny_model, episodes):
    """Half of the squared error at twice the rate is the squared error; logits come in float32."""
    model = tiny_model("llama")
    rows, at, targets = episodes[0]

    def halves(logits, index):
        assert logits.dtype == torch.float32
        return (logits[:, TOKEN] - targets[index]).square() * 0.5

    half = layer_causal_gd(model, [Sample(rows, at, halves)], lr=0.02)
    whole = layer_causal_gd(model, [Sample(rows, at, squared_error(targets, TOKEN))], lr=0.01)
    for name, delta in whole.deltas.items():
        torch.testing.assert_close(half.deltas[name], delta, rtol=1e-5, atol=1e-8)


def test_a_loss_that_fails_says_nothing_about_the_twin(fresh_model, episodes):
    model = fresh_model("llama")
    rows, at, targets = episodes[0]
    with pytest.raises(ZeroDivisionError):
        gradient_descent(model, [Sample(rows, at, lambda logits, index: logits[:, 0] / (1 // 0))], lr=0.1)
    gradient_descent(model, [Sample(rows, at, squared_error(targets, TOKEN))], lr=0.1)
    assert verdict(twin_of(model), "through, few True, embeddings", lambda: "never tried") == ""


def test_numbers_read_off_the_logits():
    logits = torch.arange(10.0).view(2, 5)
    directions = torch.eye(5)[:, :2]
    assert read_numbers(logits, 3).tolist() == [[3], [8]]
    assert read_numbers(logits, [4, 0]).tolist() == [[4, 0], [9, 5]]
    assert read_numbers(logits, directions).tolist() == [[0, 1], [5, 6]]
    assert read_numbers(logits, torch.ones(5)).tolist() == [[10], [35]]
    assert read_numbers(logits, lambda x: x.sum(-1)).tolist() == [[10], [35]]


def test_squared_error_is_a_mean_over_numbers():
    loss = squared_error(torch.tensor([[1.0, 0.0], [5.0, 5.0]]), [4, 0])
    logits, index = torch.arange(10.0).view(2, 5), torch.tensor([1, 1])
    assert loss(logits, index).tolist() == [((4 - 5) ** 2 + (0 - 5) ** 2) / 2, ((9 - 5) ** 2 + (5 - 5) ** 2) / 2]


def test_what_tells_losses_apart():
    a, b = squared_error([1.0], 3), squared_error([1.0], 4)
    assert a.content() != b.content()
    assert a.content() == squared_error([1.0], 3).content()
    assert squared_error([1.0], torch.ones(5)).content() != squared_error([1.0], torch.zeros(5)).content()
    assert cross_entropy([1]).content() != cross_entropy([2]).content()


@pytest.mark.parametrize("targets", [[float("nan")], [[[1.0]]]])
def test_bad_targets_are_refused(targets):
    with pytest.raises(UpdateError, match="finite numbers"):
        inspect.unwrap(squared_error)(torch.tensor(targets), 0)


def test_as_many_targets_as_numbers(tiny_model, episodes):
    rows, at, targets = episodes[0]
    with pytest.raises(UpdateError, match="2 numbers per position and there are 1 targets"):
        gradient_descent(tiny_model("llama"), [Sample(rows, at, squared_error(targets, [1, 2]))], lr=0.1)


def test_a_loss_gives_one_term_per_position(tiny_model, episodes):
    rows, at, _ = episodes[0]
    with pytest.raises(UpdateError, match="one term per position"):
        gradient_descent(tiny_model("llama"), [Sample(rows, at, lambda logits, index: logits.mean())], lr=0.1)
