"""Many edits of the same prompts in one run: heads, layers, strengths, draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import CaptureError, rng, track
from iclmech.interventions import EditSite, Intervention, add, standing_edits
from iclmech.models import ICLModel, Twin
from iclmech.models._verified import close, verdict
from iclmech.tasks import PromptSet

from ._capture import describe
from ._collector import ATTENTION, StateCollector, dims_of, recorded_sites
from ._hooked_run import hooked_chunks, prefix_layout
from ._label_scores import LabelScores
from ._paths import fast_twin, no_fast_path
from ._prompt_rows import Batch, Setting, plan
from ._request import Request, setting_name
from ._run_rows import Chunk, Job, Path, Row
from ._session import Session
from ._twin_edits import editable
from ._twin_run import FastRun
from ._twin_variants import VARIANT_SITES, variant_chunks

Variant = Intervention | Sequence[Intervention]


@dataclass(frozen=True)
class VariantActivations:
    """Predictions and states of every query under every variant, on the CPU.

    Attributes: `label_scores` (mean log-probability per token, nats), `target_scores` and `target_ranks` as in
    `Activations`; `top_tokens`, the likeliest of the whole vocabulary; `data`: by site, [query, variant, layer, ...] at the prediction position; `logits` [query, variant,
    d_vocab]; `setting`, `layers`, `meta`.
    """

    label_scores: Float[Tensor, "query variant label"]
    target_scores: Float[Tensor, "query variant"]
    target_ranks: Int[Tensor, "query variant"]
    top_tokens: Int[Tensor, "query variant"]
    data: Mapping[str, Tensor]
    setting: str
    layers: tuple[int, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, site: str) -> Tensor:
        """The tensor of a site. Raises `CaptureError` naming the captured ones."""
        if site not in self.data:
            raise CaptureError(f"{site!r} was not captured; got {', '.join(self.data) or 'nothing'}. Add it to sites=.")
        return self.data[site]

    @property
    def label_probs(self) -> Float[Tensor, "query variant label"]:
        """Softmax of the label scores over the labels."""
        return torch.softmax(self.label_scores, dim=-1)


def capture_variants(
    model: ICLModel,
    prompts: PromptSet,
    variants: Sequence[Variant],
    setting: Setting = "icl",
    sites: Sequence[str] = (),
    *,
    layers: Sequence[int] | None = None,
    match_positions: bool = False,
    first_token: bool = False,
    path: Path = "auto",
    progress: bool = False,
) -> VariantActivations:
    """Run every query under each of many variants: what `capture(..., interventions=variant)` gives, one after the other.

    Edits of states at the query's own tokens (`at="s_q"`, `at=-1`, `at="x_q"`) share everything that they leave alone: the
    demonstrations, the tokens before the first edited one and the layers below it. Other variants run alone.

    Args:
        variants: each an intervention, or several that are made together; an empty one is the clean run.
        setting: "icl" or "zs".
        sites: states at the prediction position, or "logits"; scores of the answers always come.
        layers: of those states; all by default.
        first_token: score answers by their first token alone: its log-probability in nats.
        match_positions, path, progress: as in `capture`.

    Returns:
        `VariantActivations`.

    Raises:
        CaptureError: for sites of attention, or a `path` that a variant does not allow.

    >>> from iclmech.interventions import zero
    >>> heads = [zero("z", layers=layer, heads=head, at="s_q") for layer in range(2) for head in range(4)]
    """
    options: Any = {"layers": layers, "match_positions": match_positions, "path": path}
    request = Request.checked(model, setting, sites, "prediction", options)
    wrong = [name for name in request.names if name in ATTENTION]
    if wrong or not variants:
        got = f"the site {wrong[0]!r}" if wrong else "no variant"
        raise CaptureError(f"got {got}; expected at least one variant, and sites of states or 'logits'.")
    changes = [tuple(v) if isinstance(v, Sequence) else (v,) for v in variants]
    n, last = len(changes), model.shape.n_layers - 1
    sizes = {"query": len(prompts.queries) * n}
    states = StateCollector(model, request.names, request.layers, request.places, sizes)
    labels, run = LabelScores(model, prompts, n, first_token), _Run(model, prompts, changes, path)
    recorded = tuple(dict.fromkeys((*recorded_sites(request.names), "resid_post")))
    wanted = tuple(dict.fromkeys((*request.layers, last)))
    batches = plan(prompts, setting, request.places, match_positions)
    batches = [batch for batch in batches if not (first_token and batch.answers)]
    with model.reading():
        for batch in track(batches, f"capturing {n} variants, {setting}", enabled=progress):
            asked = (("resid_post",), (last,)) if batch.answers else (recorded, wanted)
            slots = _expanded(batch, n)
            for chunk in run.chunks(batch, *asked):
                states.add(chunk, slots)
                labels.add(chunk, slots)
        name = setting_name(model, setting)
    scores = labels.finish()
    shape = (len(prompts.queries), n)
    data = {name: value.unflatten(0, shape) for name, value in states.data.items()}
    dims = {name: ("query", "variant", *dims_of(name)[1:]) for name in data}
    meta = {**describe(model, prompts, request), "variants": n, "dims": dims}
    parts = (of.unflatten(0, shape) for of in (scores.labels, scores.targets, scores.ranks, scores.tops))
    own, targets, ranks, tops = parts
    return VariantActivations(own, targets, ranks, tops, data, name, request.layers, meta)


def _expanded(batch: Batch, n: int) -> Batch:
    """A batch with a row for every variant of every row."""
    queries = [j * n + v for j in batch.queries for v in range(n)]
    places, answers = ([one for one in many for _ in range(n)] for many in (batch.places, batch.answers))
    return replace(batch, queries=queries, places=places, answers=answers)


class _Run:
    """Variants through the model: together on the twin where they can be, else one by one."""

    def __init__(self, model: ICLModel, prompts: PromptSet, changes: list[tuple[Intervention, ...]], path: Path):
        stands = standing_edits(model)
        self.model, self.path = model, path
        self.changes = [(*stands, *change) for change in changes]
        self.clean = Session(model, "fast", prompts=prompts)
        self.alone = [Session(model, path, change, prompts=prompts) for change in changes]

    def chunks(self, batch: Batch, sites: Sequence[str], layers: Sequence[int]) -> Iterator[Chunk]:
        """Row n under variant v has index n · variants + v."""
        n = len(self.changes)
        everything = tuple(range(self.model.shape.n_layers))
        job = self.clean.job(batch.prefix, batch.rows, sites, layers, batch.first_position)
        together = self._together(job)
        if together:
            fast = self.clean.fast(replace(job, layers=everything))
            for chunk in variant_chunks(fast, job, [self.changes[v] for v in together]):  # type: ignore[arg-type]  # all EditSite
                pairs = (divmod(one, len(together)) for one in chunk.index)
                yield replace(chunk, index=tuple(row * n + together[v] for row, v in pairs))
        for v in sorted(set(range(n)) - set(together)):
            runs = self.alone[v].run(batch.prefix, batch.rows, sites, layers, first_position=batch.first_position)
            for chunk in runs:
                yield replace(chunk, index=tuple(row * n + v for row in chunk.index))

    def _together(self, job: Job) -> list[int]:
        """Variants that may run beside each other: edits of states in the rows, on a twin that makes them right."""
        before = prefix_layout(job)

        def in_rows(change: Intervention) -> bool:
            return isinstance(change, EditSite) and editable([change]) and not change.edits(self.model, before)

        found = [v for v, changes in enumerate(self.changes) if all(map(in_rows, changes))]
        edits = [change for v in found for change in self.changes[v]]
        if self.path not in ("auto", "fast") or set(job.sites) - set(VARIANT_SITES):
            return []
        if no_fast_path(self.model, replace(job, interventions=edits)):
            return []
        twin = fast_twin(self.model)
        sites = {change.site for change in edits if isinstance(change, EditSite)}
        wrong = [s for s in sites if verdict(twin, f"variants of {s}", partial(_difference, self.model, twin, s))]
        return [] if wrong else found


@torch.no_grad()
def _difference(model: ICLModel, twin: Twin, site: str) -> str:
    """The first site at which variants through the twin differ from the hooked model's, or nothing."""
    ids = torch.randint(0, model.shape.d_vocab, (20,), generator=rng(0, "variants")).tolist()
    rows = [Row(ids[9:12], (2,)), Row(ids[12:20], (7,))]
    sites = [s for s in VARIANT_SITES if s != "mlp_out" or all(module is not None for module in twin.mlp)]
    depth = model.shape.n_layers
    job = Job(ids[:9], rows, sites, tuple(range(depth)))
    push = torch.randn(model.shape.d_head if site == "z" else model.shape.d_model, generator=rng(1, "variants"))
    variants = [[add(site, push, layers=n, at=at)] for n, at in ((0, -1), (depth - 1, -1), (depth // 2, [-1, -2]))]
    found = {
        n: (c, i)
        for c in variant_chunks(FastRun(model, twin, job, job.layers), job, variants)
        for i, n in enumerate(c.index)
    }
    for v, change in enumerate(variants):
        (whole,) = hooked_chunks(model, replace(job, interventions=change))
        for i, row in enumerate(whole.index):
            chunk, place = found[row * len(variants) + v]
            for s in sites:
                if not close(chunk.values[s][place], whole.values[s][i], model.dtype):
                    return s
    return ""
