"""`patch`: the function that users call."""

from __future__ import annotations

from collections.abc import Sequence

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet, Task

from .._experiment import Given
from ._request import PATCH, PatchRequest
from ._result import Patch


def patch(
    model: ICLModel | str,
    task: Task | PromptSet | str,
    site: str | Sequence[str] = "z",
    k: int = 16,
    n_queries: int = 64,
    *,
    source: str = "icl",
    into: str = "zs",
    roles: str | Sequence[str] = "s_q",
    seed: int = 0,
    level: float = 0.95,
    progress: bool = False,
) -> Patch:
    """Put states of one run into another, one place at a time, and see how much of the answer comes back.

    Each query runs in the setting `into`, with the state of one layer (of "z": one head) at the tokens of one role replaced by
    the one it has in the setting `source`. What comes back is counted in nats of the right answer's log-odds: against the
    other label words, or (free text) of its first token against the rest of the vocabulary. Two controls, at every place:

        random_state   a random state, as far from the present one as the state put in
        other_query    the source's state of another query, whose answer is another one where there is such a query

    Args:
        model, task: what to study, or the names of both; a `PromptSet` in place of the task is taken as it is.
        site: "z", or states of the residual stream, or several of them.
        k, n_queries: demonstrations in every context, and queries, each behind a context of its own.
        source, into: "icl", "zs" or "corrupted" (demonstrations with permuted labels, a permutation for every query).
        roles: tokens whose states are put in, role by role: "s_q" (the prediction position), "x_q"; where both sides have
            demonstrations also "s", "y", "x", "sep".
        seed: draws demonstrations, permutations and random states.
        level: of the intervals.
        progress: show a bar on standard error.

    Returns:
        A `Patch`.

    Raises:
        ExperimentError: unknown settings, twice the same, roles that one side lacks, or texts that differ in length.

    Source: activation patching as in Meng et al. (arXiv 2202.05262) and Wang et al. (arXiv 2211.00593).
    """
    given = Given()
    sites = (site,) if isinstance(site, str) else tuple(site)
    request = PatchRequest(
        model=given.name("model", model, by="name"),
        task=given.name("task", task, by="" if isinstance(task, PromptSet) else "name"),
        sites=sites,
        k=task.k if isinstance(task, PromptSet) else k,
        n_queries=len(task.queries) if isinstance(task, PromptSet) else n_queries,
        source=source,
        into=into,
        roles=(roles,) if isinstance(roles, str) else tuple(roles),
        seed=seed,
        level=level,
    )
    return PATCH.run(request, progress=progress, **given.inputs)  # type: ignore[return-value]  # a Patch
