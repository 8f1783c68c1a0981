"""Hooks that keep what was asked for, at the recorded positions only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import CaptureError
from iclmech.interventions import Spec
from iclmech.models import SCORE_TAPS, ICLModel, scores_from_taps


def pick(tensor: Tensor, at: Int[Tensor, "row at"], attention: bool) -> Tensor:
    """Entries at the recorded positions: [row, position, ...] -> [row, at, ...]; attention [row, head, query, key] -> [row, at, head, key]."""
    rows = torch.arange(len(at), device=tensor.device)[:, None]
    at = at.to(tensor.device)
    return tensor[rows, :, at] if attention else tensor[rows, at]


@dataclass
class Recorder:
    """Collects sites of one forward pass. `prefix_keys[layer]` are the keys of a prefix that is not part of this pass."""

    model: ICLModel
    sites: Sequence[str]
    layers: Sequence[int]
    at: Int[Tensor, "row at"]
    prefix_keys: dict[int, Tensor] = field(default_factory=dict)
    values: dict[str, dict[int, Tensor]] = field(default_factory=dict)

    def specs(self) -> list[Spec]:
        """Hooks to place, for `ICLModel.hooks`."""
        specs: list[Spec] = []
        for site in self.sites:
            for layer in self.layers:
                if site == "attn_scores":
                    specs += self._score_specs(layer)
                elif self.model.backend.point(site, layer) is None:
                    raise CaptureError(
                        f"{self.model.name} has no {site} in layer {layer}"
                        + (": its blocks run attention and MLP in parallel." if site == "resid_mid" else ".")
                    )
                else:
                    specs.append((site, layer, partial(self._keep, site, layer)))
        return specs

    def _keep(self, site: str, layer: int, tensor: Tensor) -> None:
        value = pick(tensor, self.at, attention=site == "attn_pattern")
        self.values.setdefault(site, {})[layer] = value

    def _score_specs(self, layer: int) -> list[Spec]:
        """Scores come from one hook, or from q and k once both were seen."""
        names, taps = SCORE_TAPS[self.model.capabilities.scores.source], {}
        return [(name, layer, partial(self._tap, layer, taps, name)) for name in names]

    def _tap(self, layer: int, taps: dict[str, Tensor], name: str, tensor: Tensor) -> None:
        taps[name] = tensor
        if len(taps) == len(SCORE_TAPS[self.model.capabilities.scores.source]):
            self._finish_scores(layer, taps)
            taps.clear()

    def _finish_scores(self, layer: int, taps: dict[str, Tensor]) -> None:
        key = SCORE_TAPS[self.model.capabilities.scores.source][-1]
        if layer in self.prefix_keys:
            before = self.prefix_keys[layer].expand(len(taps[key]), *self.prefix_keys[layer].shape[1:])
            taps = {**taps, key: torch.cat([before, taps[key]], dim=1)}
        scores = scores_from_taps(self.model.backend, self.model.capabilities.scores, layer, taps)
        self.values.setdefault("attn_scores", {})[layer] = pick(scores, self.at, attention=True)

    def stacked(self) -> dict[str, Float[Tensor, "row at layer ..."]]:
        """Everything seen, layers stacked: [row, at, layer, ...]."""
        return {site: torch.stack([got[n] for n in self.layers], dim=2) for site, got in self.values.items()}
