"""Wang, Bai, Peng, Hsieh 2024: context-awareness lost in instruction tuning."""

from __future__ import annotations

from iclmech._base import Result

from ._calls import call, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claim_of, claimed, draws, valued


def _template(result: Result) -> Reading:
    """What the chat template takes from the demonstrations, where the tokenizer has one."""
    if result.data.sizes["template"] < 2:
        return Reading(float("nan"), why_not="this model's tokenizer has no chat template; ask smollm2-135m")
    found = claim_of(result, "The chat template takes")
    return Reading(found.measured, found.low, found.high, draws(result), control=found.control)


PAPER = Paper(
    name="wang2024",
    title="On the Loss of Context-awareness in General Instruction Fine-tuning",
    authors="Wang, Bai, Peng, Hsieh",
    year=2024,
    arxiv="2411.02688",
    model="icl-mini",
    about="Attention of the prediction token, with and without a chat template where there is one.",
    claims=(
        PaperClaim(
            "A chat template takes attention away from the context",
            run="allocation", read=_template, effect="share of the attention on the demonstrations, without less with template", unit="attention",
            control="the same prompt without template",
        ),
        PaperClaim(
            "Heads steered to the context make answers better",
            run="allocation", read=valued(claimed("answers better, without")), effect="accuracy, paired by query", unit="accuracy",
            control="as many random keys weakened", otherwise="a model that neglects its context",
        ),
    ),
    runs={
        "allocation": call("allocation", quick={"n_queries": 128}, full={"n_queries": 256, "n_contexts": 16}, task=task_for("mini/sentiment", "words/plural")),
    },
)  # fmt: skip
