"""Three biases towards labels: of the words themselves, of the demonstrations, of the domain's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iclmech.analysis import AnalysisError
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._priors import prior


class LabelBiases(NamedTuple):
    """Three steps from the uniform distribution to what a context says of its domain's words, in total variation, 0 to 1."""

    vanilla: Tensor
    context: Tensor
    domain: Tensor


def label_biases(
    vanilla: Float[Tensor, "context label"],
    context: Float[Tensor, "context label"],
    domain: Float[Tensor, "context label"],
) -> LabelBiases:
    """How far label words, demonstrations and the domain's words each push the answer, whatever the input says.

    With the total variation distance TV(p, q) = ½ Σ|p - q|: vanilla bias, TV of the first prior from the uniform
    distribution; context bias, of the second from the first; domain bias, of the third from the second.

    Args:
        vanilla: the prior of the words themselves: `prior(model, prompts, "cc", setting="zs")`.
        context: behind demonstrations, without content: `prior(model, prompts, "cc")`.
        domain: behind demonstrations, with words of the domain: `prior(model, prompts, "dc")`.

    Raises:
        AnalysisError: different shapes.

    Source: the three biases of Fei et al., arXiv 2305.19148; their domain bias contrasts the domain's words with random
    English ones, here it is with inputs that have no content.

    >>> import torch, iclmech as icl
    >>> found = icl.calibration.label_biases(*(torch.tensor([p]) for p in ([0.7, 0.3], [0.7, 0.3], [0.4, 0.6])))
    >>> [round(bias.item(), 2) for bias in found]
    [0.2, 0.0, 0.3]
    """
    if len({vanilla.shape, context.shape, domain.shape}) > 1:
        raise AnalysisError(
            f"got priors of shapes {tuple(vanilla.shape)}, {tuple(context.shape)}, {tuple(domain.shape)}; expected one shape."
        )
    uniform = torch.full_like(vanilla, 1 / vanilla.shape[1])
    steps = ((vanilla, uniform), (context, vanilla), (domain, context))
    return LabelBiases(*(0.5 * (p - q).abs().sum(dim=-1) for p, q in steps))


def measure_biases(
    model: ICLModel, prompts: PromptSet, *, texts: Sequence[str] | None = None, n: int = 20, seed: int = 0
) -> LabelBiases:
    """The three biases of a model on these prompts, one number for each context: `label_biases` of the priors they are made of.

    Args:
        model: what answers.
        prompts: contexts and template.
        texts, n, seed: words of the domain, as in `prior`.

    Raises:
        PromptError: as `prior` does.

    Source: Fei et al., arXiv 2305.19148.

    >>> import iclmech as icl
    >>> model = icl.load_model("icl-mini")
    >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=1)
    >>> [tuple(bias.shape) for bias in measure_biases(model, prompts, n=4)]
    [(1,), (1,), (1,)]
    """
    vanilla, context = (prior(model, prompts, "cc", setting=setting) for setting in ("zs", "icl"))
    return label_biases(vanilla, context, prior(model, prompts, "dc", texts=texts, n=n, seed=seed))
