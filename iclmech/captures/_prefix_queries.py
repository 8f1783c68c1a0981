"""Fresh queries behind every prefix of one row, the row encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.interventions import Intervention
from iclmech.models import ICLModel

from ._paths import fast_twin, no_fast_path
from ._run_rows import Chunk, Job, Path, Row, Tokens, check_job
from ._session import Session
from ._twin_run import FastRun


@dataclass(frozen=True)
class PrefixQueries:
    """What every query shows behind every prefix, at its last token.

    Attributes: `prefixes`, how many tokens of the row stand before the queries, one entry each; `data`, by site
    [prefix, query, layer, ...], "logits" [prefix, query, d_vocab]; `layers`, index of each entry of the layer axis.
    """

    prefixes: tuple[int, ...]
    data: dict[str, Tensor]
    layers: tuple[int, ...]

    def __getitem__(self, site: str) -> Tensor:
        """The tensor of a site. Raises `CaptureError` naming the captured ones."""
        if site not in self.data:
            raise CaptureError(f"{site!r} was not captured; got {', '.join(self.data) or 'nothing'}. Add it to sites=.")
        return self.data[site]


def queries_at_prefixes(
    model: ICLModel,
    row: Tokens,
    queries: Sequence[Tokens],
    prefixes: Sequence[int] | None = None,
    sites: Sequence[str] = ("logits",),
    *,
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] = (),
    path: Path = "auto",
    grad: bool = False,
) -> PrefixQueries:
    """Ask fresh queries behind many prefixes of one long row: behind its first n tokens, for every n of `prefixes`.

    The row is encoded once. All queries behind all prefixes are then one masked pass (or as few as fit): token i of a query
    behind n tokens has position n + i, and reads those n tokens and its own query up to itself. Equal to a pass of its own
    for each. Where the twin cannot be used, prefixes are run one after the other.

    Args:
        row: token ids or embeddings; it begins with BOS, if the model wants one.
        queries: token ids or embeddings of each, of any lengths.
        prefixes: lengths, 1 to the length of the row; by default all of these.
        sites: states at the last token of each query, and "logits".
        layers: of those states; all by default.
        interventions: as in `iter_run`; under any, prefixes are run one after the other.
        path: "fast" insists on the masked pass, "cached" and "uncached" on one run after the other.
        grad: keep the graph, also on the masked pass: derivatives by embeddings of the row and of the queries.

    Returns:
        `PrefixQueries`, on the model's device.

    Raises:
        CaptureError: for lengths that the row does not have, prompts that do not fit, or a path that is not possible.
    """
    prefixes = tuple(range(1, len(row) + 1)) if prefixes is None else tuple(prefixes)
    wrong = [n for n in prefixes if not 1 <= n <= len(row)]
    if wrong or not prefixes or not queries:
        got = f"a prefix of {wrong[0]} tokens" if wrong else "no prefix" if not prefixes else "no query"
        raise CaptureError(f"got {got}; expected at least one query, and prefixes of 1 to {len(row)} tokens.")
    last = model.shape.n_layers - 1
    states = tuple(dict.fromkeys(site for site in sites if site != "logits"))
    wanted = tuple(range(last + 1)) if layers is None else tuple(layers)
    recorded = (*states, *(("resid_post",) if "logits" in sites and "resid_post" not in states else ()))
    run = tuple(dict.fromkeys((*wanted, last))) if "logits" in sites else wanted
    rows = [Row(query, (len(query) - 1,)) for query in queries]
    job = Job(row, rows, recorded, run, tuple(interventions), grad=grad)
    found: dict[str, Tensor] = {}
    with model.reading(), torch.set_grad_enabled(grad):
        for places, chunk in _chunks(model, job, prefixes, path):
            for site in states:
                _put(found, site, places, chunk.values[site][:, 0, : len(wanted)], len(prefixes) * len(rows))
            if "logits" in sites:
                final = model.readout(chunk.values["resid_post"][:, 0, run.index(last)])
                _put(found, "logits", places, final, len(prefixes) * len(rows))
    data = {site: value.unflatten(0, (len(prefixes), len(rows))) for site, value in found.items()}
    return PrefixQueries(prefixes, data, wanted)


def _put(found: dict[str, Tensor], site: str, places: list[int], values: Tensor, n: int) -> None:
    if site not in found:
        found[site] = values.new_zeros(n, *values.shape[1:])
    found[site] = found[site].index_put((torch.tensor(places, device=values.device),), values)


def _chunks(model: ICLModel, job: Job, prefixes: Sequence[int], path: Path) -> Iterator[tuple[list[int], Chunk]]:
    """Chunks, and the place of each of their rows: prefix · queries + query."""
    check_job(model, job)
    m = len(job.rows)
    obstacle = "interventions are placed" if job.interventions else no_fast_path(model, job, graph=True)
    if path == "fast" and obstacle:
        raise CaptureError(f"path='fast' is not possible: {obstacle}. Use path='auto'.")
    if path in ("auto", "fast") and not obstacle:
        behind = [n for n in prefixes for _ in range(m)]
        every = Job(job.prefix, list(job.rows) * len(prefixes), job.sites, job.layers, grad=job.grad)
        for chunk in FastRun(model, fast_twin(model), every, job.layers).chunks(every, behind):
            yield list(chunk.index), chunk
        return
    session = Session(model, path, job.interventions, grad=job.grad)
    for p, n in enumerate(prefixes):
        for chunk in session.run(job.prefix[:n], job.rows, job.sites, job.layers):
            yield [p * m + row for row in chunk.index], chunk
