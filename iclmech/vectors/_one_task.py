"""What a vector may be averaged over: contexts that mean the same, and what the vector then says of its origin."""

from __future__ import annotations

from typing import Any

from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._vector import VectorError


def require_one_task(prompts: PromptSet, demonstrations: bool = True) -> None:
    """Refuse contexts between which a mean means nothing.

    Args:
        prompts: what a vector is to be made of.
        demonstrations: whether it needs any.

    Raises:
        VectorError: contexts with different label words, or none with demonstrations.
    """
    words = {tuple(context.label_words) for context in prompts.contexts}
    if len(words) > 1:
        shown = " and ".join(", ".join(w) for w in sorted(words)[:2])
        raise VectorError(
            f"the contexts of {prompts.task!r} differ in their label words ({shown}, …), and a mean over them has no meaning. "
            "Build them with build_prompts(..., label_words='shared'), or put one set into all of them with "
            "prompts.with_label_words(model, words)."
        )
    if demonstrations and not all(context.demonstrations for context in prompts.contexts):
        raise VectorError(f"got prompts of {prompts.task!r} without demonstrations; expected k of at least 1.")


def origin(model: ICLModel, prompts: PromptSet, method: str, **more: Any) -> dict[str, Any]:
    """Where a vector comes from, JSON-serialisable."""
    return {
        "method": method,
        "model": {"name": model.name, "hash": model.hash(), "applied": list(model.applied)},
        "task": prompts.task,
        "prompts": prompts.hash,
        "k": prompts.k,
        "n_queries": len(prompts.queries),
        **more,
    }
