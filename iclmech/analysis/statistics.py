"""Statistics of comparisons: the clustered bootstrap, paired contrasts, and the spread over seeds."""

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
