"""Calibration: what a model answers when there is nothing to answer, its predictions with that taken out, self-ensembles.

A prior is a distribution over the label words for each context. `prior` measures one, `calibrated` takes it out; `fit_affine` is
the supervised ceiling of what a map of each label's score can do; `ensemble` joins the predictions behind several contexts.
`metrics.ece`, `metrics.brier` and accuracy say whether it helped.
"""

from __future__ import annotations

from ._affine import AffineMap as AffineMap, fit_affine as fit_affine
from ._biases import LabelBiases as LabelBiases, label_biases as label_biases, measure_biases as measure_biases
from ._ensembles import ENSEMBLES as ENSEMBLES, ensemble as ensemble, template_variants as template_variants
from ._priors import (
    CONTENT_FREE as CONTENT_FREE,
    FEWEST as FEWEST,
    How as How,
    batch_prior as batch_prior,
    calibrated as calibrated,
    prior as prior,
    random_inputs as random_inputs,
)
