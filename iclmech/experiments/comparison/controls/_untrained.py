"""The same architecture with weights drawn afresh, once for each seed: everything is done on it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iclmech._base._palette import GREY

from .._control import Control

if TYPE_CHECKING:
    from iclmech.models import ICLModel

    from .._request import CompareRequest


def untrained(model: ICLModel, request: CompareRequest, seed: int) -> ICLModel:
    """A freshly drawn model. Raises `ModelError` where the architecture cannot be drawn anew."""
    return model.untrained(seed, embeddings=request.embeddings)  # type: ignore[arg-type]  # the model says which there are


CONTROL = Control(
    "untrained", "model", untrained, "untrained model", "the untrained model",
    essential=True, rank=0, basic=True, colour=GREY, dash="dash",
)  # fmt: skip
