"""How often a model is right, as one number."""

from __future__ import annotations

from collections.abc import Sequence

from iclmech.analysis import metrics
from iclmech.captures import Setting, capture
from iclmech.interventions import Intervention
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet


def accuracy(
    model: ICLModel | str, prompts: PromptSet, setting: Setting = "icl", interventions: Sequence[Intervention] = ()
) -> float:
    """Share of queries that are answered rightly: the likeliest label word, or (free text) the first answer token.

    Args:
        model: with whatever updates are in force, or the name of one.
        prompts: from `build_prompts`.
        setting: "icl" or "zs".
        interventions: changes to the pass.

    Returns:
        A share in [0, 1]; NaN where no query has a known answer.

    Raises:
        CaptureError: as `capture` does.

    Example:
        >>> import iclmech as icl
        >>> model = icl.load_model("icl-mini")
        >>> prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=8, n_queries=16)
        >>> accuracy(model, prompts) > accuracy(model, prompts, "zs")
        True
    """
    acts = capture(model, prompts, setting, (), interventions=interventions)
    return float(metrics.correct(acts, prompts.labels).double().nanmean())
