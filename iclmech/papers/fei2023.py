"""Fei, Hou, Chen, Bosselut 2023: label biases and domain-context calibration."""

from __future__ import annotations

from typing import Any

from ._calls import call, task_for
from ._paper import Paper, PaperClaim
from ._readings import claimed, valued, variable

_BIAS: dict[str, Any] = {
    "effect": "label bias",
    "unit": "probability",
    "rule": "descriptive",
    "control": "even label words",
}

PAPER = Paper(
    name="fei2023",
    title="Mitigating Label Biases for In-context Learning",
    authors="Fei, Hou, Chen, Bosselut",
    year=2023,
    arxiv="2305.19148",
    model="icl-mini",
    about="Domain-context calibration takes out the prior that random words of the task's texts give.",
    claims=(
        PaperClaim(
            "Domain-context calibration raises accuracy behind few demonstrations",
            run="table", read=valued(claimed("dc calibration raises accuracy (icl)")), effect="accuracy, paired by query", unit="accuracy",
            margin=0.02, control="uncalibrated", otherwise="a label bias that costs accuracy: calibration mends nothing else",
        ),
        PaperClaim(
            "Domain-context calibration raises accuracy without demonstrations",
            run="table", read=valued(claimed("dc calibration raises accuracy (zs)")), effect="accuracy, paired by query", unit="accuracy",
            margin=0.02, control="uncalibrated", source="ours",
        ),
        PaperClaim("The label set alone biases answers (vanilla-label bias)", run="table", read=variable("bias", bias_of="vanilla"), **_BIAS),
        PaperClaim("Demonstrations bias answers (context-label bias)", run="table", read=variable("bias", bias_of="context"), **_BIAS),
        PaperClaim("Words of the task's texts bias answers (domain-label bias)", run="table", read=variable("bias", bias_of="domain"), **_BIAS),
    ),
    runs={
        "table": call(
            "calibration", quick={"n_queries": 128, "members": 0, "n_train": 16}, full={"n_queries": 256, "members": 0}, k=4, seeds=5,
            methods=("none", "cc", "dc"), task=task_for("mini/sentiment", "words/language"),
        )
    },
)  # fmt: skip
