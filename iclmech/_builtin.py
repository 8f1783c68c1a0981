"""Everything that is built in, by kind and name: strings only, imported when they are asked for."""

from __future__ import annotations

_COMPARISON = "iclmech.experiments.comparison"
_CONTROLS = f"{_COMPARISON}.controls"
_MEASURES = f"{_COMPARISON}._measures"

BUILT_IN: dict[str, dict[str, str]] = {
    "experiment": {
        "compare": f"{_COMPARISON}._experiment:COMPARE",
        "calibration": "iclmech.experiments._calibration_request:CALIBRATION",
        "circuit": "iclmech.experiments._inference_circuit._request:CIRCUIT",
        "order": "iclmech.experiments._order_request:ORDER",
        "induction-heads": "iclmech.experiments._induction_request:INDUCTION_HEADS",
        "dual-form": "iclmech.experiments._dual_request:DUAL_FORM",
        "selection": "iclmech.experiments._selection_request:SELECTION",
        "context-tuning": "iclmech.experiments._tuning_request:CONTEXT_TUNING",
        "facts": "iclmech.experiments._facts_request:FACTS",
        "training-history": "iclmech.experiments._history_request:TRAINING_HISTORY",
        "published": "iclmech.experiments._published_request:PUBLISHED",
    },
    "measure": {
        "sim_aou": f"{_MEASURES}:SIM_AOU",
        "null_closed_form": f"{_MEASURES}:NULL",
        "sim_am": f"{_MEASURES}:SIM_AM",
        "rec2ftp": f"{_MEASURES}:REC2FTP",
        "change_agreement": f"{_MEASURES}:CHANGE_AGREEMENT",
        "label_js": f"{_MEASURES}:LABEL_JS",
        "accuracy": f"{_MEASURES}:ACCURACY",
        "label_nll": f"{_MEASURES}:LABEL_NLL",
        "displacement": f"{_MEASURES}:DISPLACEMENT",
        "sim_aou_labels": f"{_MEASURES}:SIM_AOU_LABELS",
        "above_constant": f"{_MEASURES}:ABOVE_CONSTANT",
        "answer_share": f"{_MEASURES}:ANSWER_SHARE",
        "accuracy_calibrated": f"{_MEASURES}:ACCURACY_CALIBRATED",
    },
    "update": {
        "gd": f"{_COMPARISON}._updates:GD",
        "lcgd": f"{_COMPARISON}._updates:LCGD",
        "lcgd_bottom_up": f"{_COMPARISON}._updates:LCGD_BOTTOM_UP",
        "momentum": f"{_COMPARISON}._updates:MOMENTUM",
        "adamw": f"{_COMPARISON}._updates:ADAMW",
    },
    "control": {
        "random_direction": f"{_CONTROLS}._random_direction:CONTROL",
        "matched_update": f"{_CONTROLS}._matched_update:CONTROL",
        "random_update": f"{_CONTROLS}._random_update:CONTROL",
        "untrained": f"{_CONTROLS}._untrained:CONTROL",
        "shuffled_labels": f"{_CONTROLS}._shuffled_labels:AS_UPDATE",
        "wrong_task": f"{_CONTROLS}._wrong_task:AS_UPDATE",
        "icl:reordered": f"{_CONTROLS}._reordered:CONTROL",
        "icl:shuffled_labels": f"{_CONTROLS}._shuffled_labels:IN_CONTEXT",
        "icl:unrelated_text": f"{_CONTROLS}._unrelated_text:CONTROL",
        "icl:wrong_task": f"{_CONTROLS}._wrong_task:IN_CONTEXT",
    },
    "task source": {},
    "paper": {},
}
