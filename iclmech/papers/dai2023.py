"""Dai, Sun, Dong et al. 2023: ICL as implicit finetuning."""

from __future__ import annotations

from ._calls import call, each, task_for
from ._paper import Paper, PaperClaim, Reading
from ._readings import claimed, over_seeds, overall, valued

_NO_TOKENS = "no experiment asks it yet: the measures are icl.metrics.kendall and icl.metrics.top_k_recall"


def _dual(results) -> Reading:
    """The cosine of the two changes of a head's map, less that of a random update, mean over heads, one for each draw."""
    found = []
    for result in results.values():
        cosine = result.data["cosine"]
        found.append(float((cosine.sel(source="update") - cosine.sel(source="random_update")).mean()))
    return over_seeds(found)


PAPER = Paper(
    name="dai2023",
    title="Why Can GPT Learn In-Context? Language Models Secretly Perform Gradient Descent as Meta-Optimizers",
    authors="Dai, Sun, Dong, Hao, Ma, Sui, Wei",
    year=2023,
    arxiv="2212.10559",
    model="icl-mini",
    about="Finetuning is one gradient step per demonstration on keys and values.",
    claims=(
        PaperClaim(
            "What finetuning mends, ICL mends more often than it mends other queries",
            run="finetuning", read=overall("rec2ftp_gain", "gd"), effect="Rec2FTP less the share of zero-shot errors that ICL mends",
            unit="share of queries", control="all queries that zero-shot gets wrong", otherwise="more queries that the update mends",
        ),
        PaperClaim(
            "Finetuning brings attention to the query's own tokens nearer to ICL's",
            run="finetuning", read=overall("attention_gain", "gd"), effect="SimAM(FT, ICL) less SimAM(ZS, ICL), undifferenced", unit="cosine",
            control="zero-shot attention",
        ),
        PaperClaim(
            "Demonstrations and finetuning change a head's linear map alike",
            run="dual form", read=_dual, effect="cosine of the two changes of the map, mean over heads", unit="cosine",
            control="a random update of the same norm",
        ),
        PaperClaim("ICL and finetuning attend to the same training tokens (Kendall's τ)", why_not=_NO_TOKENS),
        PaperClaim("ICL and finetuning attend to the same training tokens (recall of the top ones)", why_not=_NO_TOKENS),
        PaperClaim(
            "A moving average of past values in the attention makes answers better",
            run="momentum", read=valued(claimed("than attention alone")), effect="log-probability of the answer, held-out queries",
            unit="nats per token", control="plain attention", otherwise="the paper trains with momentum; here a trained model is given it",
        ),
        PaperClaim(
            "Momentum does better than the same weights on shuffled values",
            run="momentum", read=valued(claimed("shuffled values")), effect="log-probability of the answer, held-out queries",
            unit="nats per token", control="shuffled values", source="ours",
        ),
    ),
    runs={
        "finetuning": call(
            "compare", quick={"k": 8, "n_queries": 96, "seeds": 5, "lr": 0.03}, full={"k": 32, "n_queries": 128, "seeds": 5},
            task=task_for("mini/sentiment", "words/language"), updates=("gd",), controls=("none",), metrics=("rec2ftp_gain", "attention_gain"),
        ),
        "dual form": each(
            "prompts_seed", (0, 1, 2, 3, 4), (0, 1, 2, 3, 4), call, "dual-form", quick={"n_queries": 8}, full={"n_queries": 32},
            task=task_for("mini/sentiment", "words/language"), lr=0.03,
        ),
        "momentum": call(
            "momentum", quick={"n_queries": 48, "n_contexts": 8, "etas": (0.01, 0.1), "draws": 1, "k": 8}, full={"n_queries": 128},
            task=task_for("mini/sentiment", "words/language"),
        ),
    },
)  # fmt: skip
