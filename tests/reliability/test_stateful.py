"""A model under any sequence of captures, updates, hooks, modes, dtypes and copies: what should not change does not."""

from __future__ import annotations

import contextlib
import copy
import os
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from operations import prompts_of, same
from whole_state import bits

from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.updates import WeightUpdate, gradient_descent, layer_causal_gd

CAMPAIGN = bool(os.environ.get("ICLMECH_CAMPAIGN"))
SITES = ("attn_out", "resid_post")


def weights(model: ICLModel) -> dict[str, str]:
    return {p.name: bits(p.tensor) for p in model.parameters("all")}


def numbers(model: ICLModel, path: Any, setting: Any = "zs") -> list[torch.Tensor]:
    found = capture(model, prompts_of(model), setting, SITES, path=path)
    return [*found.data.values(), found.label_scores]


class Machine(RuleBasedStateMachine):
    """Two updates that may be in force, nested in either order; one hook of the user; one mode."""

    fresh: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.model: ICLModel = copy.deepcopy(self.fresh)
        self.stacks: list[tuple[WeightUpdate, contextlib.ExitStack]] = []
        self.hook: Any = None
        self.learn()

    def learn(self) -> None:
        """Updates of the model in its dtype, and what it shows without any."""
        prompts = prompts_of(self.model)
        self.updates = [gradient_descent(self.model, prompts, lr=0.1), layer_causal_gd(self.model, prompts, lr=0.2)]
        self.own, self.shown = weights(self.model), {}
        for path in ("fast", "cached", "uncached"):
            self.shown[path] = numbers(self.model, path)

    @rule(path=st.sampled_from(["fast", "cached", "uncached"]))
    def captures(self, path: Any) -> None:
        if self.hook is not None and path != "uncached":
            return
        found = numbers(self.model, path)
        if not self.stacks and self.hook is None:
            assert same(found, self.shown[path])

    @rule(path=st.sampled_from(["auto", "uncached"]))
    def captures_in_context(self, path: Any) -> None:
        first, again = numbers(self.model, path, "icl"), numbers(self.model, path, "icl")
        assert same(first, again)

    @rule(which=st.sampled_from([0, 1]))
    def applies(self, which: int) -> None:
        update = self.updates[which]
        if update.hash in self.model.applied:
            return
        stack = contextlib.ExitStack()
        stack.enter_context(update.applied(self.model))
        self.stacks.append((update, stack))

    @precondition(lambda self: self.stacks)
    @rule()
    def takes_out(self) -> None:
        self.stacks.pop()[1].close()

    @precondition(lambda self: len(self.stacks) == 2)
    @rule()
    def takes_out_in_the_wrong_order(self) -> None:
        with pytest.raises(ValueError, match="wrong order"):
            self.stacks[0][1].close()
        self.stacks[1][1].close()
        self.stacks = []

    @rule(which=st.sampled_from([gradient_descent, layer_causal_gd]))
    def trains(self, which: Any) -> None:
        before = weights(self.model)
        which(self.model, prompts_of(self.model), lr=0.3)
        assert weights(self.model) == before

    @precondition(lambda self: self.hook is None)
    @rule()
    def the_user_places_a_hook(self) -> None:
        point = self.model.hooked.hook_dict["blocks.1.hook_attn_out"]
        point.add_hook(lambda tensor, hook: tensor * 2)
        self.hook = point

    @precondition(lambda self: self.hook is not None)
    @rule()
    def the_user_removes_it(self) -> None:
        self.hook.remove_hooks()
        self.hook = None

    @rule(mode=st.booleans())
    def changes_mode(self, mode: bool) -> None:
        self.model.hooked.train(mode)

    @rule(mode=st.sampled_from([torch.no_grad, torch.inference_mode, torch.enable_grad]))
    def captures_in_a_mode(self, mode: Any) -> None:
        with mode():
            found = numbers(self.model, "uncached")
        if not self.stacks and self.hook is None:
            assert same(found, self.shown["uncached"])

    @precondition(lambda self: not self.stacks and self.hook is None)
    @rule()
    def is_copied(self) -> None:
        old = self.model
        self.model = copy.deepcopy(old)
        assert weights(self.model) == self.own
        with torch.no_grad():
            old.parameters("attn_kv")[0].tensor.add_(1)  # a copy of its own
        assert weights(self.model) == self.own

    @precondition(lambda self: not self.stacks and self.hook is None)
    @rule(dtype=st.sampled_from([torch.float64, torch.float32]))
    def changes_dtype(self, dtype: torch.dtype) -> None:
        self.model.hooked.to(dtype)
        self.learn()

    @invariant()
    def what_should_not_change_does_not(self) -> None:
        assert self.model.applied == tuple(update.hash for update, _ in self.stacks)
        if not self.stacks:
            assert weights(self.model) == self.own
            assert self.model.owner._thread is None
        placed = sum(len(point.fwd_hooks) for point in self.model.hooked.hook_dict.values())
        assert (placed > 0) == (self.hook is not None)
        modes = {part.training for part in self.model.hooked.modules()}
        assert len(modes) == 1

    def teardown(self) -> None:
        for _, stack in reversed(self.stacks):
            stack.close()
        assert weights(self.model) == self.own


def test_any_sequence_of_what_users_do(fresh_model):
    Machine.fresh = fresh_model("gpt2", 2)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=200 if CAMPAIGN else 2,
            stateful_step_count=30 if CAMPAIGN else 10,
            deadline=None,
            derandomize=not CAMPAIGN,
            suppress_health_check=list(HealthCheck),
        ),
    )
