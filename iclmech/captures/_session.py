"""Many runs of one model under the same interventions, which share what was encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.interventions import Intervention, RoleTable, TokenRoles, standing_edits
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._hooked_run import EncodedPrefix, hooked_chunks
from ._paths import choose, fast_twin
from ._run_rows import Chunk, Job, Path, Row, Tokens, check_job
from ._twin_run import FastRun


class Session:
    """A model, the way to take through it, and what is changed there, what stands in it included. The prefix of the last run
    stays encoded.

    The weights must stay as they are from the first run to the last.
    """

    def __init__(
        self,
        model: ICLModel,
        path: Path = "auto",
        interventions: Sequence[Intervention] = (),
        *,
        prompts: PromptSet | None = None,
        grad: bool = False,
    ):
        self.path: Path = path
        self.model, self.interventions, self.grad = model, (*standing_edits(model), *interventions), grad
        self.roles = TokenRoles(prompts) if prompts is not None else None
        self._fast: FastRun | None = None
        self._hooked: EncodedPrefix | None = None

    def run(
        self,
        prefix: Tokens,
        rows: Sequence[Row],
        sites: Sequence[str],
        layers: Sequence[int] | None = None,
        *,
        first_position: int | None = None,
        prefix_roles: RoleTable | None = None,
    ) -> Iterator[Chunk]:
        """Chunks of rows behind a prefix, as in `iter_run`."""
        layers = range(self.model.shape.n_layers) if layers is None else layers
        job = self.job(prefix, rows, sites, layers, first_position, prefix_roles)
        check_job(self.model, job)
        there = self._hooked is not None and same_tokens(self._hooked.prefix, prefix)
        yield from in_turns(self.model, self._chunks(job, there))

    def _chunks(self, job: Job, there: bool) -> Iterator[Chunk]:
        way = choose(self.model, job, self.path, encoded=there)
        if way == "fast":
            yield from self.fast(job).chunks(job) if job.rows else ()
        else:
            yield from hooked_chunks(self.model, job, self._encoded(job) if way == "cached" else None)

    def job(
        self,
        prefix: Tokens,
        rows: Sequence[Row],
        sites: Sequence[str],
        layers: Sequence[int],
        first_position: int | None = None,
        prefix_roles: RoleTable | None = None,
    ) -> Job:
        """What a run is asked for."""
        more = (self.interventions, first_position, self.grad, self.roles, prefix_roles)
        return Job(prefix, rows, sites, tuple(layers), *more)

    def fast(self, job: Job) -> FastRun:
        """The prefix of a job in the twin, encoded if it is not there."""
        found = self._fast
        if found is None or not same_tokens(found.prefix, job.prefix) or found.top < max(job.layers):
            self._fast = None  # one at a time: another context comes only when this one is done
            with torch.no_grad():
                found = FastRun(self.model, fast_twin(self.model), job, job.layers)
            self._fast = found
        return found

    def _encoded(self, job: Job) -> EncodedPrefix:
        found = self._hooked
        if found is None or not same_tokens(found.prefix, job.prefix):
            self._hooked = None
            self._hooked = found = EncodedPrefix(self.model, job)
        return found


def in_turns(model: ICLModel, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Chunks, each made while this thread owns the model, which it does not while the caller has them.

    Raises `CaptureError` where the updates in force are no longer those of the first chunk.
    """
    applied: tuple[str, ...] | None = None
    while True:
        with model.reading():
            if applied is not None and applied != model.applied:
                raise CaptureError(
                    f"the updates in force on {model.name} have changed between two chunks of one run, from {applied} to "
                    f"{model.applied}. Take all chunks before an update is applied or taken out."
                )
            applied = model.applied
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def same_tokens(one: Tokens, other: Tokens) -> bool:
    """Whether two prefixes are the same ids, or one and the same tensor of embeddings."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return one is other
    return list(one) == list(other)
