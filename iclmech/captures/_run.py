"""The core of every capture: rows that share a prefix, through the model in chunks, reduced to recorded positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iclmech.interventions import Intervention, RoleTable
from iclmech.models import ICLModel

from ._run_rows import Chunk, Path, Row, Tokens
from ._session import Session


def iter_run(
    model: ICLModel,
    prefix: Tokens,
    rows: Sequence[Row],
    sites: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
    interventions: Sequence[Intervention] = (),
    path: Path = "auto",
    first_position: int | None = None,
    grad: bool = False,
    prefix_roles: RoleTable | None = None,
) -> Iterator[Chunk]:
    """Run rows that follow one prefix and yield their states, chunk by chunk, so that memory does not grow with the rows.

    Args:
        prefix: token ids, or embeddings, that stand before every row (at least one).
        rows: what follows, of any lengths, ids or embeddings; all recorded at equally many positions.
        sites: names of `iclmech.captures.SITES`.
        layers: all of them by default.
        interventions: applied to every pass. Edits of states and cuts of edges that do the same to the prefix for every
            row let it be encoded once; under others, prompts are run whole.
        path: "fast" runs a plain transformers twin of the model, "cached" encodes the prefix once and runs the hooked model,
            "uncached" runs the hooked model on whole prompts. "auto" takes the first of them that is possible: hooks of the
            user are never gone around, and a twin or a cache that a self-check found wrong is not used. They agree to
            rounding.
        first_position: position id of each row's first token; its place in the prompt by default.
        grad: keep the graph.
        prefix_roles: what each token of the prefix is, for interventions that go by roles.

    Yields:
        Chunks of rows, in any order.

    Raises:
        CaptureError: where rows do not fit the window or the path asked for is not possible.
    """
    session = Session(model, path, interventions, grad=grad)
    yield from session.run(prefix, rows, sites, layers, first_position=first_position, prefix_roles=prefix_roles)
