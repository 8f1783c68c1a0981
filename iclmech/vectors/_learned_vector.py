"""`learn_vector`: the one vector that makes zero-shot queries come out right, found by gradient descent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from iclmech._base import np_rng
from iclmech.captures import Row, capture, iter_run
from iclmech.interventions import EditSite, add
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Query

from ._one_task import origin, require_one_task
from ._vector import Vector, VectorError

STEPS, RATE = 60, 0.1


def learn_vector(
    model: ICLModel, prompts: PromptSet, layer: int | Sequence[int], *, steps: int = STEPS, lr: float = RATE
) -> Vector:
    """A vector added at the query's last token that makes the right answers of zero-shot queries likely.

        v = argmin of the mean over queries of −log P(answer | query, h_l[p_q] + v),   Adam from v = 0

    Args:
        model: with whatever updates are in force.
        prompts: training queries with answers, all under the same label words; their demonstrations are not used.
        layer: where it is learned; several: one vector for each, alone.
        steps: of Adam, each on all queries.
        lr: learning rate, in units of the root mean square of the layer's states.

    Returns:
        A `Vector`, how "add", with rows for these layers; a single one is the chosen one. `meta["losses"]` has the loss
        (nats per token) before every step and at the end, by layer.

    Raises:
        VectorError: no query with a known answer, contexts that differ in their label words, or numbers out of range.

    When it misleads: it is trained, so what it reaches says what the model can be made to do, not what is in its states.
    Hold it against vectors learned on permuted answers (`with_permuted_answers`), five of them: one can be right by luck.

    Source: as in Task Vectors, Learned Not Extracted (arXiv 2509.24169): the answers' likelihood over one vector.

    >>> import iclmech as icl
    >>> model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment")
    >>> prompts = icl.build_prompts(model, task, k=1, n_queries=8, queries_from="train")
    >>> vector = learn_vector(model, prompts, layer=2, steps=3)
    >>> first, *_, last = vector.meta["losses"][0]
    >>> last < first
    True
    """
    require_one_task(prompts, demonstrations=False)
    layers = [layer] if isinstance(layer, int) else list(layer)
    if not layers or not all(0 <= n < model.shape.n_layers for n in layers) or steps < 1 or lr <= 0:
        raise VectorError(
            f"got layer={layer!r}, steps={steps}, lr={lr}; expected layers 0 to {model.shape.n_layers - 1} and positive numbers."
        )
    asked = _Questions.of(prompts)
    size = capture(model, prompts, "zs", ("resid_post",))["resid_post"].double().pow(2).mean(dim=(0, 2)).sqrt()
    values, losses = [], []
    for n in layers:
        found, course = _descend(model, asked, n, steps, lr * float(size[n]))
        values.append(found)
        losses.append(course)
    about = origin(model, prompts, "learned", steps=steps, lr=lr, losses=losses)
    chosen = layers[0] if len(layers) == 1 else None
    return Vector(torch.stack(values), how="add", layers=tuple(layers), layer=chosen, meta=about)


def with_permuted_answers(prompts: PromptSet, seed: int = 0) -> PromptSet:
    """The same queries with their answers permuted among them: nothing is left to be learned but how often each is right.

    Queries of one context change answers with each other, so that label words stay those of the context.
    """
    made: list[Query] = list(prompts.queries)
    for c in range(len(prompts.contexts)):
        mine = [n for n, query in enumerate(made) if query.context == c]
        order = np_rng(seed, f"permuted answers {c}").permutation(len(mine))
        answers = [(prompts.queries[mine[i]].label, prompts.queries[mine[i]].target_tokens) for i in order]
        for n, (label, tokens) in zip(mine, answers, strict=True):
            made[n] = replace(made[n], label=label, target_tokens=tokens)
    return replace(prompts, queries=made, meta={**prompts.meta, "control": "permuted_answers", "control_seed": seed})


@dataclass(frozen=True)
class _Questions:
    """Zero-shot rows with the tokens that are right behind them, in groups of equally long answers."""

    bos: int
    groups: list[tuple[list[Row], Tensor]]
    n: int

    @classmethod
    def of(cls, prompts: PromptSet) -> _Questions:
        by_length: dict[int, list[tuple[Row, list[int]]]] = defaultdict(list)
        for query in prompts.queries:
            answer = list(query.target_tokens or ())
            if answer:
                start, more = len(query.tokens) - 1, len(answer) - 1
                row = Row([*query.tokens, *answer[:-1]], tuple(range(start, start + 1 + more)), None, more)
                by_length[len(answer)].append((row, answer))
        if not by_length:
            raise VectorError(f"no query of {prompts.task!r} has a known answer; expected some to learn from.")
        groups = [([row for row, _ in g], torch.tensor([answer for _, answer in g])) for g in by_length.values()]
        return cls(prompts.bos, groups, sum(len(rows) for rows, _ in groups))

    def losses(self, model: ICLModel, edit: EditSite) -> Iterator[Tensor]:
        """Parts of the mean loss, each with its own graph: they add up to it."""
        last = model.shape.n_layers - 1
        for rows, answers in self.groups:
            run = iter_run(model, [self.bos], rows, ("resid_post",), layers=[last], interventions=[edit], grad=True)
            for chunk in run:
                with torch.enable_grad():
                    scores = torch.log_softmax(model.readout(chunk.values["resid_post"][:, :, 0]).float(), dim=-1)
                    right = scores.gather(-1, answers[list(chunk.index)].to(scores.device)[..., None])
                    yield -right[..., 0].mean(dim=-1).sum() / self.n


def _descend(model: ICLModel, asked: _Questions, layer: int, steps: int, rate: float) -> tuple[Tensor, list[float]]:
    vector = torch.zeros(model.shape.d_model, device=model.device, requires_grad=True)
    optimiser = torch.optim.Adam([vector], lr=rate)
    edit = add("resid_post", vector, layers=layer, at=-1)
    course: list[float] = []
    for step in range(steps + 1):
        vector.grad = torch.zeros_like(vector)
        course.append(0.0)
        for part in asked.losses(model, edit):
            if step < steps:
                vector.grad += torch.autograd.grad(part, vector)[0]
            course[-1] += float(part.detach())
        if step < steps:
            optimiser.step()
    return vector.detach().cpu(), course
