"""Training sequences: what the model reads, where the loss reads, and what it makes of the logits there."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import UpdateError, digest, tensor_digest
from iclmech.models import ICLModel
from iclmech.tasks import Context, Demonstration, PromptSet

from ._losses import PositionLoss, content_of, cross_entropy

Loss = Literal["label", "all"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One training sequence, with a loss of its own.

    Attributes:
        inputs: token ids, BOS included, or embedding rows `[position, d_model]` as the model takes them in place of ids
            (without positions, which it adds itself).
        positions: where the loss reads the logits.
        loss: what it makes of them; None: the cross-entropy of the tokens that follow (for token ids only). Otherwise
            `cross_entropy(...)`, `squared_error(...)` or any `PositionLoss`.

    Raises:
        UpdateError: no positions, a position outside the inputs, inputs of another shape or not finite, a loss for
            another number of positions, or no loss where there is no next token.

    Example:
        >>> from iclmech.updates import squared_error
        >>> sample = Sample(torch.zeros(5, 32), positions=[1, 3], loss=squared_error([0.5, -1.0], readout=7))
        >>> len(sample), sample.embedded
        (5, True)
    """

    inputs: SequenceOf[int] | Int[Tensor, "position"] | Float[Tensor, "position d_model"]
    positions: SequenceOf[int]
    loss: PositionLoss | None = None

    def __post_init__(self) -> None:
        inputs = self.inputs
        if isinstance(inputs, Tensor) and inputs.ndim != (2 if self.embedded else 1):
            raise UpdateError(
                f"got inputs of shape {tuple(inputs.shape)}; expected token ids [position] or embedding rows "
                "[position, d_model]."
            )
        if isinstance(inputs, Tensor) and not bool(inputs.isfinite().all()):
            raise UpdateError("the embedding rows of a sample are not finite.")
        if not self.embedded:
            object.__setattr__(self, "inputs", [int(token) for token in inputs])
        object.__setattr__(self, "positions", [int(position) for position in self.positions])
        n, at = len(self), self.positions
        if not at or not all(0 <= position < n for position in at):
            raise UpdateError(f"got positions {at}; expected at least one, each from 0 to {n - 1}.")
        if self.loss is None and (self.embedded or max(at) == n - 1):
            raise UpdateError(
                "a sample of embedding rows, or one read at its last position, has no next token to be predicted; "
                "give it a loss: Sample(inputs, positions, squared_error(targets, readout)) or cross_entropy(targets)."
            )
        wanted = getattr(self.loss, "__len__", None)
        if wanted is not None and wanted() != len(at):
            raise UpdateError(f"got a loss for {wanted()} positions and {len(at)} positions; expected one target each.")

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def embedded(self) -> bool:
        """Whether the inputs are embedding rows."""
        return isinstance(self.inputs, Tensor) and torch.is_floating_point(self.inputs)

    def terms(self) -> PositionLoss:
        """The loss, or the cross-entropy of the tokens that follow."""
        if self.loss is not None:
            return self.loss
        return cross_entropy([int(self.inputs[position + 1]) for position in self.positions])

    def row(self, model: ICLModel) -> Int[Tensor, "1 position"] | Float[Tensor, "1 position d_model"]:
        """The inputs as the model takes them."""
        if isinstance(self.inputs, Tensor):
            return self.inputs.detach().to(model.device, model.dtype)[None]
        return torch.tensor([self.inputs], device=model.device)

    def content(self) -> list[Any]:
        """What tells it from others, for a hash."""
        inputs = tensor_digest(self.inputs) if isinstance(self.inputs, Tensor) else self.inputs
        return [inputs, self.positions, content_of(self.terms())]


Source = PromptSet | Context | SequenceOf[Demonstration] | SequenceOf[Sample]


def losses_of(
    logits: Float[Tensor, "row d_vocab"], index: Int[Tensor, "row"], terms: PositionLoss
) -> Float[Tensor, "row"]:
    """Terms of the loss, from logits in at least float32; raises `UpdateError` unless there is one per row."""
    found = terms(logits.to(torch.promote_types(logits.dtype, torch.float32)), index)
    if found.shape != index.shape:
        raise UpdateError(
            f"the loss gives {tuple(found.shape)} for logits of {len(index)} positions; expected one term per position."
        )
    return found


def loss_of(logits: Float[Tensor, "*layer counted d_vocab"], sample: Sample) -> Float[Tensor, "*layer"]:
    """The mean of a sample's terms at its positions, kept apart for leading dimensions."""
    index = torch.arange(logits.shape[-2], device=logits.device).expand(logits.shape[:-1])
    return losses_of(logits.flatten(0, -2), index.flatten(), sample.terms()).view(index.shape).mean(-1)


def batches_of(samples: list[Sample]) -> list[list[Sample]]:
    """Samples that go through the model together: embedding rows of one length, read at the same positions, all at once;
    others one by one."""
    first = samples[0]
    if all(s.embedded and len(s) == len(first) and s.positions == first.positions for s in samples):
        return [samples]
    return [[sample] for sample in samples]


def rows_of(model: ICLModel, samples: list[Sample]) -> Tensor:
    """The inputs of a batch (see `batches_of`) as the model takes them."""
    return torch.cat([sample.row(model) for sample in samples])


def batch_loss(logits: Float[Tensor, "row counted d_vocab"], samples: list[Sample]) -> Float[Tensor, ""]:
    """The mean of the losses of a batch."""
    losses = [loss_of(mine, sample) for mine, sample in zip(logits, samples, strict=True)]
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()


def samples_of(model: ICLModel, source: Source, loss: str) -> list[Sample]:
    """The demonstrations of a `PromptSet` with one context, of a `Context`, or of a list, in their order; or samples.

    Each is its own sequence (BOS + input + label). `loss="all"` counts every token after BOS, "label" the label's.

    Raises:
        UpdateError: several contexts, no demonstrations, an unknown loss, a sequence that does not fit the window or the
            width of the model, a label span that is empty or outside its demonstration, or samples among demonstrations.
    """
    if loss not in ("label", "all"):
        raise UpdateError(f"got loss={loss!r}; expected 'label' (label tokens only) or 'all' (every token after BOS).")
    if isinstance(source, PromptSet):
        if len(source.contexts) != 1:
            raise UpdateError(
                f"got prompts with {len(source.contexts)} contexts; an update belongs to one. Pass prompts.contexts[c]."
            )
        source = source.contexts[0]
    sequences = list(source.demonstrations if isinstance(source, Context) else source)
    if not sequences:
        raise UpdateError("got a context without demonstrations (k=0); an update needs at least one to learn from.")
    own = [sequence for sequence in sequences if isinstance(sequence, Sample)]
    if own and (len(own) < len(sequences) or loss != "label"):
        raise UpdateError(
            f"got {len(own)} samples among {len(sequences)} sequences, and loss={loss!r}; samples bring a loss of their "
            "own: pass them alone, and leave loss out."
        )
    samples = own or [_of_demonstration(number, demo, loss) for number, demo in enumerate(sequences)]  # type: ignore[arg-type]
    for number, sample in enumerate(samples):
        _check_fits(model, number, sample)
    return samples


def _of_demonstration(number: int, demonstration: Demonstration, loss: str) -> Sample:
    tokens, (start, stop) = list(demonstration.tokens), demonstration.label_span
    if not 1 <= start < stop <= len(tokens):
        raise UpdateError(
            f"demonstration {number} has label span {(start, stop)} in {len(tokens)} tokens; "
            "expected a label of at least one token, after BOS and inside the demonstration."
        )
    counted = range(1, len(tokens)) if loss == "all" else range(start, stop)
    return Sample(tokens, [i - 1 for i in counted])


def _check_fits(model: ICLModel, number: int, sample: Sample) -> None:
    shape = model.shape
    if shape.n_ctx is not None and len(sample) > shape.n_ctx:
        raise UpdateError(f"demonstration {number} has {len(sample)} tokens; the model's window holds {shape.n_ctx}.")
    if isinstance(sample.inputs, Tensor):
        if sample.inputs.shape[1] != shape.d_model:
            raise UpdateError(
                f"sample {number} has embedding rows of width {sample.inputs.shape[1]}; the model's are {shape.d_model} wide."
            )
    elif not 0 <= min(sample.inputs) <= max(sample.inputs) < shape.d_vocab:
        raise UpdateError(f"sequence {number} has token ids outside the model's vocabulary, 0 … {shape.d_vocab - 1}.")


def loss_name(source: Source, loss: str) -> str:
    """What a result calls the loss: "own" where samples bring it."""
    brought = not isinstance(source, PromptSet | Context) and any(isinstance(sequence, Sample) for sequence in source)
    return "own" if brought else loss


def digest_of(samples: list[Sample]) -> str:
    """A hash of what is learnt from, so that a result can say which demonstrations made an update."""
    return digest([sample.content() for sample in samples])


def check_rates(lr: float | SequenceOf[float]) -> list[float]:
    """One learning rate or several, as a list; raises `UpdateError` unless each is finite (in float32) and ≥ 0."""
    rates = [float(rate) for rate in lr] if isinstance(lr, SequenceOf) else [float(lr)]
    bad = [rate for rate in rates if not 0 <= rate <= torch.finfo(torch.float32).max]
    if bad or not rates:
        raise UpdateError(f"got lr={lr!r}; expected a finite number ≥ 0, or a list of them with at least one entry.")
    return rates
