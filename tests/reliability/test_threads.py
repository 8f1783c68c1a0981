"""Threads that share one model: every number is right, nobody gets a raw error, the weights are as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from operations import same
from whole_state import differences, state_of

from iclmech._base import Guard
from iclmech.captures import capture, iter_run
from iclmech.captures._run_rows import Row
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task, build_prompts
from iclmech.updates import gradient_descent, layer_causal_gd

PATHS = ("fast", "cached", "uncached")


def prompts_with(model: ICLModel, texts: tuple[str, ...]) -> PromptSet:
    records = [{"text": text, "label": n % 2} for n, text in enumerate(texts)]
    task = Task.from_records(records, records, template="{text}:", label_words=["a", "positive"], name="small")
    return build_prompts(model, task, k=2, n_queries=2, seed=0)


def jobs_of(model: ICLModel, prompts: list[PromptSet]) -> list[Callable[[], list[torch.Tensor]]]:
    """Captures by three paths, zero-shot and with updates in force, and training, of every prompt set."""

    def captured(path: Any, ps: PromptSet) -> Callable[[], list[torch.Tensor]]:
        return lambda: list(capture(model, ps, "icl", ("attn_out", "resid_post"), path=path).data.values())

    def applied(update: Any, ps: PromptSet) -> list[torch.Tensor]:
        with update.applied(model):
            return list(capture(model, ps, "zs", ("attn_out",)).data.values())

    jobs = [captured(path, ps) for path in PATHS for ps in prompts]
    for ps in prompts:
        update = gradient_descent(model, ps, lr=0.1)
        jobs.append(lambda update=update, ps=ps: applied(update, ps))
        jobs.append(lambda ps=ps: list(gradient_descent(model, ps, lr=0.1).deltas.values()))
        jobs.append(lambda ps=ps: list(layer_causal_gd(model, ps, lr=0.1, order="bottom_up").deltas.values()))
    return jobs


@pytest.mark.parametrize("texts", [("aaaa", "bbbb", "cccc", "dddd"), ("a", "it is what it is", "dull film", "never")])
def test_threads_get_the_numbers_that_they_get_alone(texts, fresh_model, size):
    model = fresh_model("gpt2", 2)
    jobs = jobs_of(model, [prompts_with(model, texts), prompts_with(model, tuple(reversed(texts)))])
    expected = [job() for job in jobs]
    before, wrong, rounds = state_of(model), [], size(3, 1000)
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for n in range(rounds):
            which = (7 * n + 3 * number) % len(jobs)
            try:
                if not same(jobs[which](), expected[which]):
                    wrong.append((number, which, "another number"))
            except Exception as error:
                wrong.append((number, which, repr(error)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{len(wrong)} of {4 * rounds}: {wrong[:3]}"
    assert differences(model, before) == []


def test_another_thread_waits_while_an_update_is_in_force(fresh_model):
    model = fresh_model("gpt2", 2)
    ps = prompts_with(model, ("aa", "bb", "cc", "dd"))
    expected, update, found = list(capture(model, ps, "zs").data.values()), gradient_descent(model, ps, lr=0.5), []
    thread = threading.Thread(target=lambda: found.append(capture(model, ps, "zs")))
    with update.applied(model):
        thread.start()
        thread.join(0.3)
        assert not found
        capture(model, ps, "zs")  # the owner itself goes in again
    thread.join()
    assert found[0].setting == "zs"
    assert same(list(found[0].data.values()), expected)


def test_chunks_of_one_run_under_two_updates_are_refused(fresh_model):
    model = fresh_model("gpt2", 2)
    ps = prompts_with(model, ("aa", "bb", "cc", "dd"))
    update = gradient_descent(model, ps, lr=0.5)
    chunks = iter_run(model, [0], [Row([3], (0,)), *[Row([4] * 200, (0,))] * 3], ("resid_post",), path="fast")
    next(chunks)
    with update.applied(model), pytest.raises(ValueError, match="have changed between two chunks"):
        next(chunks)


def test_two_faces_of_one_model_have_one_owner(fresh_model):
    model = fresh_model("gpt2", 2)
    assert ICLModel(model.hooked, "again", model.tokenizer).owner is model.owner


def test_a_guard_that_ends_out_of_order_keeps_the_model_until_the_last(fresh_model):
    model = fresh_model("gpt2", 2)
    first, second = model.owner.own(), model.owner.own()
    first.__enter__()
    second.__enter__()
    first.__exit__()
    assert model.owner._lock.locked()
    second.__exit__()
    assert not model.owner._lock.locked()
    assert isinstance(first, Guard)


def test_who_waits_for_long_says_so(fresh_model, monkeypatch):
    from iclmech.models import _owner

    monkeypatch.setattr(_owner, "PATIENCE", 0.0)
    model, said = fresh_model("gpt2", 2), []

    def work() -> None:
        with pytest.warns(UserWarning, match="has waited .* works with") as caught, model.owner.own():
            said.append(str(caught[0].message))

    thread = threading.Thread(target=work)
    with model.owner.own():
        thread.start()
        thread.join(0.5)
    thread.join()
    assert len(said) == 1
