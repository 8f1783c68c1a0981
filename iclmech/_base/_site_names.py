"""Names of the places in a transformer where states are read or changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from ._errors import CaptureError

Site = Literal[
    "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "q", "k", "v", "z", "attn_scores", "attn_pattern"
]
SITES: tuple[Site, ...] = get_args(Site)
"""Sites in the order in which a block computes them is: resid_pre, q, k, v, attn_scores, attn_pattern, z, attn_out,
resid_mid, mlp_out, resid_post."""


def check_sites(sites: Iterable[str], also: Iterable[str] = ()) -> tuple[str, ...]:
    """Return `sites` as a tuple; raise `CaptureError` naming the first one that is not a site (or one of `also`)."""
    if isinstance(sites, str):
        sites = (sites,)
    names = tuple(dict.fromkeys(sites))
    allowed = (*SITES, *also)
    for name in names:
        if name not in allowed:
            raise CaptureError(f"got the site {name!r}; expected one of {', '.join(allowed)}.")
    return names
