"""`head_effects`: what each head's mean output does for the answer where the demonstrations teach nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from iclmech._base import CaptureError, np_rng, provenance
from iclmech.captures import capture_variants, target_gradients
from iclmech.interventions import replace
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._corrupted import corrupted
from ._head_effects_result import HeadEffects, usual_n
from ._one_task import require_one_task

METHODS = ("verified", "exact", "attribution")
Head = tuple[int, int]
_SETTINGS = ("icl", "corrupted")
_DIMS = ("query", "layer", "head")


def head_effects(
    model: ICLModel,
    prompts: PromptSet,
    method: str = "verified",
    *,
    n: int | None = None,
    n_random: int | None = None,
    means: Float[Tensor, "layer head d_head"] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> HeadEffects:
    """Causal indirect effect of every head: how much its mean output under ICL brings the right answer back.

    Every query stands behind demonstrations with permuted labels, a permutation of its own, and one head's output at the
    prediction position is replaced by its mean over the intact prompts:

        CIE(query, l, h) = P(y₁ | z_lh ← mean z_lh) − P(y₁),    y₁ the first token of the right answer, P over the vocabulary

    "exact" runs every head as a one-token row behind demonstrations that are encoded once. "attribution" is the first-order
    estimate P · (mean z − z) · ∂ log P / ∂z of all heads from one backward pass through the last token. "verified" takes
    attribution for all heads and runs exactly the 3n heads with the largest estimates, the n with the most negative ones, and
    `n_random` others, which bound what the estimate may have missed.

    Args:
        model: with whatever updates are in force.
        prompts: intact prompts with demonstrations, all under the same label words; 25 queries or more, best each behind a
            context of its own (`n_contexts=n_queries`).
        method: "verified", "exact" or "attribution".
        n: how many heads are looked for; 2 % of them by default, at least one.
        n_random: other heads that are run exactly; 2n by default, at least 8.
        means: mean outputs to put in, of other prompts; by default those of `prompts`.
        seed: draws permutations and the random heads.
        progress: show a bar on standard error.

    Returns:
        `HeadEffects`.

    Raises:
        CaptureError: an unknown method, or a query without an answer.
        VectorError: contexts with different label words.
        PromptError: contexts without demonstrations.

    Source: Todd et al., Function Vectors in Large Language Models (arXiv 2310.15213); one context per query and signs kept.

    >>> import iclmech as icl
    >>> model = icl.load_model("icl-mini")
    >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=8, n_queries=4)
    >>> effects = head_effects(model, prompts, "exact")
    >>> effects.cie.shape, len(effects.top(3))
    (torch.Size([4, 4, 4]), 3)
    """
    if method not in METHODS:
        raise CaptureError(f"got method={method!r}; expected 'verified', 'exact' or 'attribution'.")
    require_one_task(prompts)
    shape = (model.shape.n_layers, model.shape.n_heads)
    n = usual_n(*shape) if n is None else n
    broken = corrupted(prompts, seed)
    found = _Found(prompts, shape)
    if means is None:
        intact = capture_variants(model, prompts, [()], "icl", ("z",), first_token=True, progress=progress)
        means = intact["z"][:, 0].mean(dim=0)
        found.answers("icl", intact.target_scores[:, 0], intact.target_ranks[:, 0])
    if method != "exact":
        found.estimate(model, broken, means, progress)
    everything = [(layer, head) for layer in range(shape[0]) for head in range(shape[1])]
    chosen = {"exact": everything, "attribution": []}.get(method)
    if chosen is None:
        chosen = found.choose(n, max(8, 2 * n) if n_random is None else n_random, seed)
    if chosen:
        found.run(model, broken, means, chosen, progress)
    origin = provenance(
        model={"name": model.name, "hash": model.hash()}, task={"name": prompts.task}, prompts=[prompts.hash],
        corrupted=broken.hash, method=method, n=n, k=prompts.k, seed=seed,
    )  # fmt: skip
    return HeadEffects(found.dataset(), provenance=origin)


class _Found:
    """Effects as they are found, NaN where they are not known."""

    def __init__(self, prompts: PromptSet, shape: tuple[int, int]):
        self.prompts, queries = prompts, len(prompts.queries)
        self.probability, self.first = np.full((2, queries), np.nan), np.full((2, queries), np.nan)
        self.values = {
            name: torch.full((queries, *shape), torch.nan, dtype=torch.float64)
            for name in ("cie", "cie_log", "estimate", "estimate_log")
        }
        self.verified, self.random = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)

    def answers(self, setting: str, log_probs: Tensor, ranks: Tensor) -> None:
        """P of the right answer's first token, and whether it is the likeliest."""
        at = _SETTINGS.index(setting)
        self.probability[at], self.first[at] = log_probs.double().exp().numpy(), (ranks == 0).numpy()

    def estimate(self, model: ICLModel, broken: PromptSet, means: Tensor, progress: bool) -> None:
        """First-order effects of all heads."""
        found = target_gradients(model, broken, "icl", "z", progress=progress)
        in_log = ((means - found.states) * found.gradients).double().sum(dim=-1)
        self.values["estimate_log"] = in_log
        self.values["estimate"] = in_log * found.log_probs.double().exp()[:, None, None]
        self.answers("corrupted", found.log_probs, found.ranks)

    def choose(self, n: int, n_random: int, seed: int) -> list[Head]:
        """The 3n heads with the largest mean estimates, the n with the most negative ones, and some others."""
        mean = self.values["estimate"].mean(dim=0).reshape(-1)
        order = mean.argsort(descending=True, stable=True).tolist()
        largest = order[: 3 * n]
        lowest = [at for at in order[::-1][:n] if at not in largest]
        others = [at for at in range(len(order)) if at not in {*largest, *lowest}]
        drawn = np_rng(seed, "random heads").permutation(len(others))[:n_random]
        picked = [others[int(i)] for i in drawn]
        self.random.view(-1)[picked] = True
        width = self.verified.shape[1]
        return [divmod(at, width) for at in (*largest, *lowest, *picked)]

    def run(self, model: ICLModel, broken: PromptSet, means: Tensor, heads: Sequence[Head], progress: bool) -> None:
        """Exact effects of some heads; the first variant is the corrupted prompt as it is."""
        edits: list[Any] = [replace("z", means[layer, head], layers=layer, heads=head, at=-1) for layer, head in heads]
        acts = capture_variants(model, broken, [(), *edits], "icl", first_token=True, progress=progress)
        self.answers("corrupted", acts.target_scores[:, 0], acts.target_ranks[:, 0])
        scores = acts.target_scores.double()
        layers, numbers = zip(*heads, strict=True)
        at = (slice(None), list(layers), list(numbers))
        self.values["cie_log"][at] = scores[:, 1:] - scores[:, :1]
        self.values["cie"][at] = scores[:, 1:].exp() - scores[:, :1].exp()
        self.verified[at[1:]] = True

    def dataset(self) -> xr.Dataset:
        """Everything, labelled."""
        data = xr.Dataset({name: (_DIMS, value.numpy()) for name, value in self.values.items()})
        for name, value in (("verified", self.verified), ("random", self.random)):
            data[name] = (_DIMS[1:], value.numpy().astype(np.int8))
        data["probability"], data["first"] = (
            (("setting", "query"), self.probability),
            (("setting", "query"), self.first),
        )
        data["demonstrations"] = (("query",), np.array([query.context for query in self.prompts.queries]))
        sizes: dict[str, Any] = {name: range(data.sizes[name]) for name in _DIMS}
        return data.assign_coords(setting=list(_SETTINGS), **sizes)
