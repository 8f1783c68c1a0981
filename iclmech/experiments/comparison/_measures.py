"""The measures that every comparison has, and what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iclmech._base import Measure

if TYPE_CHECKING:
    from torch import Tensor

    from iclmech.captures import Activations

_METRICS = "iclmech.analysis.metrics"


def rec2ftp_by_query(zs: Activations, icl: Activations, ft: Activations) -> Tensor:
    """`metrics.rec2ftp` query by query."""
    from iclmech.analysis import metrics

    return metrics.rec2ftp(zs, icl, ft, zs.meta["labels"], by_query=True)


def rec2ftp_gain(zs: Activations, icl: Activations, ft: Activations) -> Tensor:
    """Rec2FTP less the share of all zero-shot errors that ICL mends; NaN for queries that zero-shot answers rightly.

    With f, i = 1 where the update, ICL is right, p = mean f and R = Rec2FTP: f (i - R) / p + R - i, whose mean is the
    difference, and whose spread is that of the ratio to first order.
    """
    import torch

    before, mended, right = (correct(acts).double() for acts in (zs, ft, icl))
    wrong = before == 0
    share = mended[wrong].mean()
    recall = (mended * right)[wrong].mean() / share
    value = mended * (right - recall) / share + recall - right
    return torch.where(wrong & (share > 0), value, torch.nan).float()


def attention_gain(zs: Activations, icl: Activations, ft: Activations) -> Tensor:
    """How much nearer the update brings attention scores to ICL's, undifferenced: cos(ICL, FT) - cos(ICL, ZS)."""
    from iclmech.analysis import metrics

    return metrics.attention_similarity(icl, ft) - metrics.attention_similarity(icl, zs)


def change_agreement_by_query(zs: Activations, icl: Activations, ft: Activations) -> Tensor:
    """`metrics.change_agreement` query by query."""
    from iclmech.analysis import metrics

    return metrics.change_agreement(zs, icl, ft, by_query=True)


def label_js_from_icl(zs: Activations, icl: Activations, ft: Activations) -> Any:
    """Jensen–Shannon divergence of the label distributions from ICL's; NaN for free-text answers."""
    import torch

    from iclmech.analysis import metrics

    return metrics.label_js(icl, ft) if icl.label_scores.shape[1] else torch.full((len(icl),), torch.nan)


def displacement_from_zero_shot(zs: Activations, icl: Activations, ft: Activations) -> Tensor:
    """`metrics.displacement` of what is compared."""
    from iclmech.analysis import metrics

    return metrics.displacement(zs, ft)


def correct(acts: Activations) -> Tensor:
    """1 where a query is answered rightly."""
    from iclmech.analysis import metrics

    return metrics.correct(acts, acts.meta["labels"])


def label_nll(acts: Activations) -> Tensor:
    """-log p of the right answer, in nats per token."""
    return -acts.target_scores


def answer_share(acts: Activations) -> Any:
    """`metrics.answer_share`; NaN for free-text answers."""
    from iclmech.analysis import metrics

    return metrics.answer_share(acts) if acts.label_scores.shape[1] else float("nan")


def above_constant(acts: Activations) -> Any:
    """`metrics.above_constant`, the best constant answer of these queries; NaN for free-text answers."""
    import torch

    from iclmech.analysis import metrics

    labels = acts.meta["labels"]
    if not acts.label_scores.shape[1] or all(label is None for label in labels):
        return torch.full((len(labels),), torch.nan)
    return metrics.above_constant(acts, labels)


def accuracy_calibrated(acts: Activations) -> Any:
    """1 where a query is answered rightly once the prior of its context is taken out."""
    from iclmech.calibration import calibrated

    return correct(calibrated(acts, acts.meta["prior"]))


SIM_AOU = Measure(
    "sim_aou", f"{_METRICS}:sim_aou", ("layer",), "SimAOU", "cosine", (-1, 1),
    along=f"{_METRICS}:sim_aou_direction", site="attn_out",
)  # fmt: skip
NULL = Measure("null_closed_form", f"{_METRICS}:null_closed_form", ("layer",), "closed-form null", "cosine", (-1, 1))
SIM_AM = Measure(
    "sim_am", f"{_METRICS}:sim_am", ("layer", "head"), "SimAM", "cosine", (-1, 1),
    along=f"{_METRICS}:sim_am_direction", site="attn_scores",
)  # fmt: skip
REC2FTP = Measure("rec2ftp", rec2ftp_by_query, (), "Rec2FTP", "share of queries", (0, 1))
CHANGE_AGREEMENT = Measure(
    "change_agreement", change_agreement_by_query, (), "change agreement", "share of queries", (0, 1)
)
REC2FTP_GAIN = Measure("rec2ftp_gain", rec2ftp_gain, (), "Rec2FTP beyond chance", "share of queries", (-1, 1))
ATTENTION_GAIN = Measure(
    "attention_gain", attention_gain, ("layer", "head"), "attention nearer to ICL's", "difference of cosines", (-2, 2)
)
LABEL_JS = Measure("label_js", label_js_from_icl, (), "label divergence (JS)", "nats", (0, None))
ACCURACY = Measure("accuracy", correct, (), "accuracy", "share of queries", (0, 1), of="setting")
DISPLACEMENT = Measure(
    "displacement", displacement_from_zero_shot, ("layer",), "displacement", "1 - cosine with zero-shot", (0, 2)
)
SIM_AOU_LABELS = Measure(
    "sim_aou_labels", None, ("layer",), "label-specific similarity", "difference of cosines", (-2, 2)
)
ABOVE_CONSTANT = Measure(
    "above_constant", above_constant, (), "accuracy beyond the best constant answer", "share of queries", (-1, 1), of="setting",
)  # fmt: skip
ANSWER_SHARE = Measure(
    "answer_share", answer_share, (), "share of the most frequent answer", "share of queries", (0, 1), of="setting"
)
ACCURACY_CALIBRATED = Measure(
    "accuracy_calibrated", accuracy_calibrated, (), "accuracy, calibrated", "share of queries", (0, 1), of="setting"
)
LABEL_NLL = Measure("label_nll", label_nll, (), "label NLL", "nats per token", (0, None), of="setting")

COMPARED = ("sim_aou", "null_closed_form", "sim_am", "rec2ftp", "change_agreement", "label_js", "displacement")
"""Measures of (zs, icl, ft), in every comparison, in the order of the dataset."""

SINGLE = ("accuracy", "label_nll", "above_constant", "answer_share")
"""Measures of one setting."""
