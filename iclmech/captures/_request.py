"""What a capture was asked for, checked once for all that captures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, get_args

from iclmech._base import CaptureError, check_sites
from iclmech.interventions import Intervention, standing_names
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._positions import Places
from ._prompt_rows import Setting
from ._run_rows import Path
from ._session import Session

EXTRA = ("context_scores", "context_pattern", "logits")
DEFAULT_SITES = ("attn_out", "resid_post", "attn_scores")


class CaptureOptions(TypedDict, total=False):
    """The options that `capture` and its kin share; what they mean stands there."""

    layers: Sequence[int] | None
    interventions: Sequence[Intervention]
    match_positions: bool
    path: Path


@dataclass(frozen=True)
class Request:
    """What a capture was asked for, checked."""

    setting: Setting
    names: tuple[str, ...]
    places: Places
    layers: tuple[int, ...]
    interventions: Sequence[Intervention] = ()
    match_positions: bool = False
    path: Path = "auto"

    @classmethod
    def checked(
        cls, model: ICLModel, setting: Any, sites: Sequence[str], position: Any, options: CaptureOptions
    ) -> Request:
        """Raises `CaptureError` for a setting, a site, a position or layers that do not exist."""
        if setting not in get_args(Setting):
            raise CaptureError(
                f"got setting={setting!r}; expected 'zs' or 'icl'. The fine-tuned setting is 'zs' under an update in force."
            )
        unknown = sorted(set(options) - set(CaptureOptions.__annotations__))
        if unknown:
            raise CaptureError(f"got {unknown[0]}=; expected {', '.join(CaptureOptions.__annotations__)}.")
        places, names = Places.checked(position), check_sites(sites, also=EXTRA)
        attention = {"attn_scores", "attn_pattern", *EXTRA} & set(names)
        if places.mean and attention:
            raise CaptureError(
                f"got position={position!r} and {sorted(attention)[0]!r}; means are taken of states alone."
            )
        layers = check_layers(model, options.get("layers"))
        more: dict[str, Any] = {name: value for name, value in options.items() if name != "layers"}
        return cls(setting, names, places, layers, **more)

    def keys(self, prompts: PromptSet) -> int:
        """Width of the axis of own keys: the longest query, and the label word's first token where that is recorded."""
        return max((len(query.tokens) for query in prompts.queries), default=0) + self.places.labelled

    def session(self, model: ICLModel, prompts: PromptSet) -> Session:
        """What runs it."""
        return Session(model, self.path, self.interventions, prompts=prompts)


def check_layers(model: ICLModel, layers: Sequence[int] | None) -> tuple[int, ...]:
    """The layers asked for, counted from 0; raises `CaptureError` for those that do not exist."""
    n = model.shape.n_layers
    if layers is None:
        return tuple(range(n))
    wrong = [layer for layer in layers if not -n <= layer < n]
    if wrong or not len(layers):
        raise CaptureError(f"got layers={list(layers)}; expected some of 0 to {n - 1} of {model.name}.")
    return tuple(layer % n for layer in layers)


def setting_name(model: ICLModel, setting: str) -> str:
    """An update in force makes the zero-shot setting the fine-tuned one; its hash, and what stands in the model, is in every name."""
    stands = standing_names(model)
    if not model.applied:
        return "+".join([setting, *stands])
    update = "+".join(model.applied)
    return "+".join([f"ft:{update}" if setting == "zs" else f"{setting}+ft:{update}", *stands])
