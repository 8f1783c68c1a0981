"""The published values: complete, attributed, and consistent between the table and the figures per layer."""

from __future__ import annotations

import numpy as np
import pytest

from iclmech import ICLMechError
from iclmech.experiments import published


def test_axes_and_source() -> None:
    data = published("deutch2024").data
    assert data.sim_aou.dims == ("task", "update", "permutation", "layer")
    assert data.sim_aou.shape == (6, 2, 3, 24)
    assert not np.isnan(data.sim_aou).any()
    assert list(data.task.values) == ["sst2", "sst5", "mr", "subj", "agnews", "cb"]
    assert data.attrs["license"] == "Apache-2.0"
    assert "GiilDe/ft-vs-icl" in data.attrs["source"]
    assert float(data.lr.sel(task="sst5")) == 1.6e-4
    assert data.seed.sel(task="mr").values.tolist() == [5, 6, 7]


def test_the_table_is_the_mean_of_the_layers() -> None:
    data = published().data
    for quantity in ("sim_aou", "sim_am"):
        means = data[quantity].mean(["permutation", "layer"])
        np.testing.assert_allclose(means, data[f"table_{quantity}"], atol=6e-4)
    untrained = data.sim_aou_untrained.sel(control="untrained_blocks").mean(["permutation", "layer"])
    np.testing.assert_allclose(untrained, data.table_sim_aou_untrained, atol=6e-4)


def test_unknown_names() -> None:
    with pytest.raises(ICLMechError, match=r"'nobody1999'.*deutch2024"):
        published("nobody1999")
