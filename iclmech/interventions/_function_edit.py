"""An edit of states by a function of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from iclmech.tasks import PromptSet

from ._state_edits import At, EditSite, edit_site


def change(
    site: str,
    function: Callable[[Tensor, int], Tensor],
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
    at: At = None,
    prompts: PromptSet | None = None,
) -> EditSite:
    """Put `function(states, layer)` in the place of states [token, ...]; it treats every token alike.

    Places as in `zero`; gradients are those of the function.

    >>> half = change("mlp_out", lambda states, layer: states / 2, layers=[0, 1], at=-1)
    """
    return edit_site(site, lambda states, layer, *_: function(states, layer), layers, heads, at, prompts)
