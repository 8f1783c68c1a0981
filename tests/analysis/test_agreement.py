"""Predictions, Rec2FTP, change agreement and divergences against counts made by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from iclmech.analysis import AnalysisError, metrics


def predicting(*classes: int) -> torch.Tensor:
    """Scores that predict these classes."""
    return torch.eye(3)[list(classes)].log_softmax(-1)


LABELS = [0, 0, 0, 0, 1, 1]
ZS = predicting(1, 1, 1, 0, 1, 2)
FT = predicting(0, 0, 2, 0, 2, 1)
ICL = predicting(0, 1, 2, 0, 0, 2)


def test_accuracy_skips_queries_without_a_label() -> None:
    assert metrics.accuracy(ZS, LABELS).item() == pytest.approx(2 / 6)
    assert metrics.accuracy(ZS, [1, None, 0, None, None, -1]).item() == pytest.approx(1 / 2)
    assert metrics.correct(ZS, torch.tensor(LABELS)).tolist() == [0, 0, 0, 1, 1, 0]
    assert metrics.accuracy(ZS, [None] * 6).isnan()
    acts = SimpleNamespace(label_scores=ZS)
    assert metrics.predictions(acts).tolist() == [1, 1, 1, 0, 1, 2]


def test_rec2ftp() -> None:
    # zero-shot wrong and the update right: queries 0, 1, 5; ICL right among them: 0
    assert metrics.rec2ftp(ZS, ICL, FT, LABELS).item() == pytest.approx(1 / 3)
    by_query = metrics.rec2ftp(ZS, ICL, FT, LABELS, by_query=True)
    assert by_query.nansum().item() == 1
    assert (~by_query.isnan()).nonzero().flatten().tolist() == [0, 1, 5]
    assert metrics.rec2ftp(ZS, ICL, ZS, LABELS).isnan()


def test_change_agreement() -> None:
    # icl changes 0, 2, 4; ft changes 0, 1, 2, 4, 5; equal and changed: 0, 2
    assert metrics.change_agreement(ZS, ICL, FT).item() == pytest.approx(2 / 5)
    assert metrics.change_agreement(ZS, ZS, ZS).isnan()
    assert metrics.change_agreement(ZS, ICL, ICL).item() == 1


def test_change_agreement_counts_queries_and_the_released_code_changes() -> None:
    z, i, f = (t.argmax(-1) for t in (ZS, ICL, FT))
    same = int(((f == i) & (i != z)).sum())
    released = same / (int((i != z).sum()) + int((f != z).sum()) - same)
    assert released == pytest.approx(2 / 6)  # query 4: both changed, to different labels, counted twice there
    assert metrics.change_agreement(ZS, ICL, FT).item() == pytest.approx(2 / 5)
    two = [torch.eye(2)[rows] for rows in ([0, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0])]
    assert metrics.change_agreement(*two).item() == pytest.approx(1 / (2 + 2 - 1)), "two classes: the same number"


def test_nan_scores_predict_nothing() -> None:
    scores = ZS.clone()
    scores[0, 1] = torch.nan
    assert metrics.predictions(scores)[0] == -1
    assert metrics.correct(scores, LABELS)[0].isnan()
    assert metrics.change_agreement(scores, ICL, FT, by_query=True)[0].isnan()


def test_label_nll_and_divergences() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    p, q = a.softmax(-1).double().numpy(), b.softmax(-1).double().numpy()
    nll = metrics.label_nll(a, [0, 1, 2, None])
    assert nll[:3].tolist() == [-a[i, i].item() for i in range(3)]
    assert nll[3].isnan()
    np.testing.assert_allclose(metrics.label_kl(a, b), (p * np.log(p / q)).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(
        metrics.label_js(a, b), [jensenshannon(x, y) ** 2 for x, y in zip(p, q, strict=True)], rtol=1e-5
    )
    assert metrics.label_js(a, a).abs().max() < 1e-7
    certain = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    other = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    assert metrics.label_js(certain, other).item() == pytest.approx(math.log(2))


def test_vocabulary_measures() -> None:
    a = torch.tensor([[5.0, 4, 3, 2, 1], [1.0, 2, 3, 4, 5]])
    b = torch.tensor([[5.0, 1, 4, 2, 3], [5.0, 4, 3, 2, 1]])
    assert metrics.token_overlap(a, b, k=2).tolist() == [0.5, 0.0]
    assert metrics.token_overlap(a, b, k=5).tolist() == [1.0, 1.0]
    assert metrics.vocabulary_accuracy(a, torch.tensor([0, 0])).tolist() == [1, 0]
    with pytest.raises(AnalysisError, match="k=10"):
        metrics.token_overlap(a, b)


def test_order_sensitivity() -> None:
    p = torch.tensor([[[0.2, 0.8], [0.5, 0.5]], [[0.4, 0.6], [0.5, 0.5]]])
    torch.testing.assert_close(metrics.order_sensitivity(p), torch.tensor([0.2, 0.0]))
    with pytest.raises(AnalysisError, match="at least two"):
        metrics.order_sensitivity(p[:1])


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(AnalysisError, match=r"\(2,\) labels for 6 queries"):
        metrics.accuracy(ZS, [0, 1])
    with pytest.raises(AnalysisError, match="dict"):
        metrics.predictions({})


def test_free_text_tasks_have_no_classes() -> None:
    nothing = torch.zeros(3, 0)
    assert metrics.predictions(nothing).tolist() == [-1, -1, -1]
    for measure in (metrics.label_nll, metrics.accuracy):
        with pytest.raises(AnalysisError, match="there are no label words"):
            measure(nothing, [None] * 3)
