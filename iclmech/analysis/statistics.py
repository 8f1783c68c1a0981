"""Statistics of comparisons: two-way intervals, paired contrasts, families of claims; the bootstrap and seeds alone."""

from __future__ import annotations

from ._bootstrap import (
    Interval as Interval,
    bootstrap_means as bootstrap_means,
    clustered_bootstrap as clustered_bootstrap,
    clustered_mean as clustered_mean,
    paired_contrast as paired_contrast,
    percentile_interval as percentile_interval,
    seed_spread as seed_spread,
)
from ._claims import all_of as all_of, holm as holm
from ._equal_displacement import (
    EqualDisplacement as EqualDisplacement,
    at_equal_displacement as at_equal_displacement,
)
from ._two_way import (
    SEEDS_FOR_CLAIMS as SEEDS_FOR_CLAIMS,
    Estimate as Estimate,
    paired_difference as paired_difference,
    two_way_interval as two_way_interval,
)
from ._unit_bootstrap import unit_halves as unit_halves, unit_means as unit_means
