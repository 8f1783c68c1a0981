"""A run in a stack is the run alone, to the bit; clamps act while nets train, with gradients around them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from iclmech.dynamics import (
    Classes,
    Forget,
    Relabelled,
    Tasks,
    Tokens,
    ablate,
    copy,
    match,
    perfect_layer,
    previous_token,
)
from iclmech.dynamics._clamped_pass import groups_of, logits_under, loss_under, watched
from iclmech.dynamics._clamps import checked_clamps, clamp_of
from iclmech.dynamics._labelled_sequences import Sequences, label_positions, stacked
from iclmech.dynamics._measured import attention_measures, label_mass, uniform_attention
from iclmech.dynamics._stack_training import RunPlan, Schedule, train_stack
from iclmech.dynamics._world_net import WorldNet
from iclmech.experiments import ExperimentError
from iclmech.interventions import cut_edges, zero

SHORT = Schedule(steps=5, evaluate=3, losses=2, rows=32)


def same(one: Any, whole: Any, run: int) -> bool:
    if isinstance(one, dict):
        return all(same(one[key], whole[key], run) for key in one if key not in ("step", "cpu_seconds"))
    return one[0] == whole[run]


def require_equal(plans: list[RunPlan], which: range | tuple[int, ...], schedule: Schedule = SHORT) -> None:
    world = plans[0].world
    whole = train_stack(plans, world.net, world.lr, schedule)
    for run in which:
        alone = train_stack([plans[run]], world.net, world.lr, schedule)
        for (name, mine), theirs in zip(alone.module.named_parameters(), whole.module.parameters(), strict=True):
            assert torch.equal(mine[0], theirs[run]), f"run {run}, {name}"
        assert all(same(a, b, run) for a, b in zip(alone.rows, whole.rows, strict=True))


def test_without_clamps_whatever_the_worlds_beside_it():
    cells = [Classes(n_classes=k, zipf=z, bursty=b) for k, z, b in ((128, 0.0, 0.5), (512, 1.0, 1.0), (32, 0.0, 0.9))]
    require_equal([RunPlan(cell, seed) for cell in cells for seed in (0, 4)], (0, 3, 5))
    require_equal([RunPlan(Tasks(n_tasks=t), 1) for t in (4, 0, 16)], (1, 2))


CONDITIONS: list[tuple[Any, ...]] = [
    (), (previous_token(),), (match(),), (copy(),), (perfect_layer(),), (perfect_layer(), copy()), (ablate(0, 2),),
    (previous_token(0, 1), copy()), (zero("attn_out", layers=0),), (cut_edges(None, [(3, 1), (4, 2)], layers=1),),
]  # fmt: skip


def test_with_clamps_and_interventions_on_some_of_the_runs():
    plans = [RunPlan(Relabelled(), seed, checked_clamps("", c, 2, 4)) for c in CONDITIONS for seed in (0, 1)]
    require_equal(plans, range(1, len(plans), 2))  # of the second seed: its sequences are not those of the first


def test_with_forgetting_on_some_of_the_runs():
    forget = [None, Forget(2), Forget(2, until=3), Forget(1, until=("in_weights", 0.0))]
    plans = [RunPlan(Tokens(), 0, (), f) for f in forget]
    require_equal(plans, range(4), Schedule(8, 4, rows=32))


def batch_for(world: Any, models: int, rows: int = 32) -> Sequences:
    tables = world.tables(0)
    return stacked([world.draw(tables, rows, torch.Generator().manual_seed(n)) for n in range(models)])


def head_gradients(module: WorldNet, name: str, head: int, width: int) -> torch.Tensor:
    weight = getattr(module.net.model.layers[1].self_attn, name).weight
    return weight.grad[:, head * width : (head + 1) * width]


def test_no_gradient_reaches_queries_and_keys_of_a_clamped_head_and_values_get_theirs():
    world = Relabelled()
    module = WorldNet(world, world.net.__class__(heads=4, mlp=0, bos=False, theta=1e4), [0, 1])
    batch = batch_for(world, 2)
    loss_under(module, batch, [((0, 1), (match(1, 0),))])["loss"].sum().backward()
    for name in ("q_proj", "k_proj"):
        assert head_gradients(module, name, 0, 8).abs().max() == 0.0
        assert head_gradients(module, name, 1, 8).abs().max() > 0.0
    assert head_gradients(module, "v_proj", 0, 8).abs().max() > 1e-3


def test_under_copy_queries_and_keys_learn_and_values_do_not():
    world = Relabelled()
    module = WorldNet(world, world.net, [0])
    loss_under(module, batch_for(world, 1), [((0,), (copy(),))])["loss"].sum().backward()
    attention = module.net.model.layers[1].self_attn
    assert attention.q_proj.weight.grad.abs().max() > 1e-3
    assert attention.v_proj.weight.grad is None or attention.v_proj.weight.grad.abs().max() == 0.0


def test_inactive_heads_hold_zeros_after_training():
    world = Relabelled()
    module = train_stack([RunPlan(world, 0)], world.net, world.lr, SHORT).module
    last = module.net.model.layers[1].self_attn
    assert last.v_proj.weight[0, 8:].abs().max() == 0.0
    assert last.o_proj.weight[0, :, 8:].abs().max() == 0.0
    assert last.v_proj.weight[0, :8].abs().min() > 0.0


def by_hand(module: WorldNet, batch: Sequences, pattern: torch.Tensor | None = None, states: Any = None) -> Any:
    """The first net of a stack of one-headed layers in plain PyTorch; `pattern` in the last layer, `states` for its q, k."""
    net = module.net

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight

    x = module.embed(batch)[0]
    length = x.shape[1]
    mask = torch.ones(length, length).tril().bool()
    cos, sin = net.cos[0, :length, 0, 0], net.sin[0, :length, 0, 0]

    def turn(v: torch.Tensor) -> torch.Tensor:
        half = v.shape[-1] // 2
        return v * cos + torch.cat([-v[..., half:], v[..., :half]], -1) * sin

    for number, block in enumerate(net.model.layers):
        a = block.self_attn
        h = norm(x, block.input_layernorm.weight[0])
        source = h if states is None or number == 0 else norm(states, block.input_layernorm.weight[0])
        scores = turn(source @ a.q_proj.weight[0].T) @ turn(source @ a.k_proj.weight[0].T).transpose(1, 2)
        scores = (scores / x.shape[-1] ** 0.5).masked_fill(~mask, float("-inf"))
        probs = pattern if pattern is not None and number == 1 else scores.softmax(-1)
        x = x + probs @ (h @ a.v_proj.weight[0].T) @ a.o_proj.weight[0].T
    final = norm(x[:, -1], net.model.norm.weight[0])
    return (final @ net.lm_head.weight[0].T)[:, : module.n_labels], scores


def test_clamps_are_what_they_are_said_to_be_in_plain_pytorch():
    world = Classes(novel=1.0)
    module, batch = WorldNet(world, world.net, [3]), batch_for(world, 1, 16)
    at = label_positions(4, bos=True)
    plain, scores = by_hand(module, batch)
    assert torch.allclose(logits_under(module, batch)[0], plain, atol=1e-5)

    right = torch.zeros(16, 10, 10)
    right[:, range(10), range(10)] = 1.0
    right[:, -1] = 0.0
    for row in range(16):
        where = [at[i] for i in range(4) if batch.labels[0, row, i] == batch.target[0, row]]
        right[row, -1, where] = 1.0 / len(where)
    expected, _ = by_hand(module, batch, right)
    assert torch.allclose(logits_under(module, batch, [((0,), (match(),))])[0], expected, atol=1e-5)

    copied = torch.full((16, 16), -1e9)
    copied.scatter_(1, batch.labels[0], scores[:, -1, at])
    assert torch.allclose(logits_under(module, batch, [((0,), (copy(),))])[0], copied, atol=1e-5)

    with torch.no_grad():
        rows = module.embed(batch)[0]
        shifted = torch.zeros_like(rows)
        shifted[:, at], shifted[:, -1] = rows[:, [p - 1 for p in at]], rows[:, -1]
        direct = by_hand_perfect(module, rows, shifted)
    assert torch.allclose(logits_under(module, batch, [((0,), (perfect_layer(),))])[0], direct, atol=1e-5)


def by_hand_perfect(module: WorldNet, rows: torch.Tensor, shifted: torch.Tensor) -> torch.Tensor:
    """Only the last layer: pattern of shifted embeddings, values of plain ones."""
    block = module.net.model.layers[1]
    a, weight = block.self_attn, block.input_layernorm.weight[0]
    length, d = rows.shape[1:]
    cos, sin = module.net.cos[0, :length, 0, 0], module.net.sin[0, :length, 0, 0]
    turn = lambda v: v * cos + torch.cat([-v[..., d // 2 :], v[..., : d // 2]], -1) * sin  # noqa: E731
    norm = lambda x: x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()  # noqa: E731
    h, s = norm(rows) * weight, norm(shifted) * weight
    scores = turn(s @ a.q_proj.weight[0].T)[:, -1:] @ turn(s @ a.k_proj.weight[0].T).transpose(1, 2) / d**0.5
    out = rows[:, -1] + (scores.softmax(-1) @ (h @ a.v_proj.weight[0].T))[:, 0] @ a.o_proj.weight[0].T
    return (norm(out) * module.net.model.norm.weight[0] @ module.net.lm_head.weight[0].T)[:, : module.n_labels]


def test_a_perfect_circuit_answers_before_any_training():
    world = Relabelled()
    module = WorldNet(world, world.net, [0])
    with torch.no_grad():  # queries and keys that match equal vectors
        for name in ("q_proj", "k_proj"):
            getattr(module.net.model.layers[1].self_attn, name).weight[0, :8] = 8 * torch.eye(32)[:8]
    found = loss_under(module, batch_for(world, 1, 256), [((0,), (perfect_layer(), copy()))])
    assert float(found["accuracy"]) > 0.75


def test_previous_token_attention_and_measures_are_counted_right():
    world = Classes(novel=1.0)
    module, batch = WorldNet(world, world.net, [0, 1]), batch_for(world, 2)
    groups = groups_of([(previous_token(),), (match(),)])
    logits, patterns = watched(module, batch, groups)
    assert torch.allclose(patterns.sum(-1), torch.ones(()))
    assert (patterns[0, 0, :, 0, 5, 4] == 1).all()
    measures = attention_measures(patterns, batch, bos=True)
    assert measures[0, 0, 0, 0] == 1.0
    assert measures[1, 1, 0].tolist() == pytest.approx([1 / 10 * 0, 1.0, 1.0, 1.0])
    assert torch.allclose(logits, logits_under(module, batch, groups), atol=1e-5)
    even = torch.ones(10, 10).tril()
    even = (even / even.sum(-1, keepdim=True)).expand(1, 1, 32, 1, 10, 10)
    found = attention_measures(even, batch.of([0]), bos=True)[0, 0, 0].tolist()
    assert found == pytest.approx(list(uniform_attention(4, True, 1.0).values()), abs=1e-6)


def test_label_mass_counts_a_repeated_label_once():
    batch = Sequences(
        torch.zeros(1, 1, 3, 1), torch.tensor([[[2, 2]]]), torch.tensor([[2]]), torch.zeros(1, 1, 3, dtype=torch.long)
    )
    assert label_mass(torch.zeros(1, 1, 4), batch).tolist() == [0.25]


@pytest.mark.parametrize(
    ("clamps", "match_text"),
    [
        ((match(), copy()), "copy reads the answer"), ((copy(), match()), "copy reads the answer"),
        ((previous_token(0), perfect_layer()), "goes around all below"), ((match(), perfect_layer()), "perfect_layer gives"),
        ((copy(1, 0), copy(1, 1)), "one answer"), ((ablate(1, 0), copy()), "copy reads"), ((ablate(0, 0), perfect_layer()), "below"),
        ((match(), ablate(1, 0)), "both decide"), ((previous_token(0), ablate(0, 0)), "both decide"),
        ((match(2),), "2 layers"), ((match(1, 4),), "4 heads"), ((perfect_layer(0),), "above the first"), (("other",), "got the clamp"),
    ],
)  # fmt: skip
def test_clamps_that_ignore_one_another_or_have_no_place_are_refused(clamps: Any, match_text: str):
    with pytest.raises(ExperimentError, match=match_text):
        checked_clamps("both", clamps, 2, 4)


def test_clamps_that_go_together_do():
    for clamps in (
        (previous_token(0), match()),
        (previous_token(0), copy()),
        (perfect_layer(), copy()),
        (copy(1, 0), match(1, 1)),
    ):
        assert len(checked_clamps("both", clamps, 2, 4)) == 2
    assert clamp_of("copy:1.3") == copy(1, 3)
    assert checked_clamps("", (match(-1, -1),), 2, 4) == (match(1, 3),)


def test_worlds_of_different_shape_do_not_share_a_stack():
    with pytest.raises(ExperimentError, match="different shapes"):
        train_stack([RunPlan(Classes(), 0), RunPlan(Classes(pairs=6), 0)], Classes().net, 1e-3, SHORT)
