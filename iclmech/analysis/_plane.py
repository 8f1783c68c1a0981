"""Where hidden states go: shifts from zero-shot, over layers and settings, on the plane that holds most of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr

from ._states import AnalysisError, States, same_site


def shift_plane(zs: States, others: Mapping[str, States], *, site: str = "resid_post") -> xr.Dataset:
    """Mean shift from zero-shot in every layer and setting, on the plane through zero that holds most of their squared length.

    The shift of a layer is the mean over queries of h_x − h_zs, divided by the root mean square length of h_zs in that layer,
    so that layers with long states do not hide the others. One plane for all settings and layers, by singular value
    decomposition, *not* centred: zero is zero-shot. The sign of a component is such that its largest coordinate is positive.

    Args:
        zs: the zero-shot states, [query, layer, d_model] at `site`.
        others: setting ("icl", "ft:gd") → states of the same prompts.
        site: which states.

    Returns:
        `trajectory` (setting, layer, component), two components; `explained` (component), shares of the summed squared length.

    Raises:
        AnalysisError: no settings, or states that do not match.

    Caveat: what a plane does not hold it does not show; see `explained`.
    """
    if not others:
        raise AnalysisError("got no settings beside zero-shot; expected at least one, such as {'icl': acts}.")
    start, *rest = same_site(site, zs, *others.values())
    if start.ndim != 3:
        raise AnalysisError(f"got {site} of shape {tuple(start.shape)}; expected [query, layer, d_model].")
    start = start.double()
    size = start.square().sum(-1).nanmean(0).sqrt().clamp(min=1e-30)[:, None]
    shifts = torch.stack(
        [((x.double() - start).nanmean(0) / size).nan_to_num() for x in rest]
    )  # [setting, layer, d_model]
    rows = shifts.reshape(-1, shifts.shape[-1])
    _, s, vh = torch.linalg.svd(rows, full_matrices=False)
    basis = torch.zeros(2, rows.shape[1], dtype=torch.float64)
    basis[: min(2, len(vh))] = vh[:2]
    points = shifts @ basis.T
    flat = points.reshape(-1, 2)
    sign = torch.sign(flat.gather(0, flat.abs().argmax(0, keepdim=True)))
    share = np.zeros(2)
    share[: min(2, len(s))] = (s[:2].square() / s.square().sum().clamp(min=1e-300)).numpy()
    return xr.Dataset(
        {
            "trajectory": (("setting", "layer", "component"), (points * torch.where(sign == 0, 1.0, sign)).numpy()),
            "explained": ("component", share),
        },
        {"setting": list(others), "layer": np.arange(start.shape[1]), "component": [1, 2]},
        {"n_queries": len(start), "site": site},
    )
