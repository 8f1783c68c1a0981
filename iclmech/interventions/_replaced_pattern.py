"""Other attention in the place of the model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from iclmech.models import ICLModel

from ._attention_edits import AttentionEdit, LayerEdit
from ._errors import InterventionError
from ._pass_layout import Layout, check_heads, check_layers


@dataclass(frozen=True)
class ReplacePattern(AttentionEdit):
    """Puts other attention in the place of the model's. Made by `replace_pattern`."""

    pattern: Tensor | Mapping[int, Tensor] | Callable[[Tensor, Layout], Tensor]
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None

    def splits(self, model: ICLModel) -> bool:
        """Never: a given pattern spans the whole sequence."""
        return False

    def edits(self, model: ICLModel, layout: Layout) -> list[LayerEdit]:
        """A pattern edit for every layer."""
        heads = check_heads(model.shape.n_heads, self.heads)
        return [
            LayerEdit(layer, "pattern", lambda p, layer=layer: self._new(p, layer, heads, layout))
            for layer in check_layers(model, self.layers)
        ]

    def _new(self, pattern: Tensor, layer: int, heads: list[int] | None, layout: Layout) -> Tensor:
        given = self.pattern[layer] if isinstance(self.pattern, Mapping) else self.pattern
        new = given if isinstance(given, Tensor) else given(pattern, layout)
        chosen = list(range(pattern.shape[1])) if heads is None else heads
        edited = pattern.clone()
        try:
            edited[:, chosen] = new.to(pattern.device, pattern.dtype)
        except RuntimeError as error:
            raise InterventionError(
                f"got a pattern of shape {tuple(new.shape)}; expected one that broadcasts to "
                f"{tuple(edited[:, chosen].shape)} (row, head, query, key)."
            ) from error
        return edited


def replace_pattern(
    pattern: Tensor | Mapping[int, Tensor] | Callable[[Tensor, Layout], Tensor],
    *,
    layers: Sequence[int] | int | None = None,
    heads: Sequence[int] | int | None = None,
) -> ReplacePattern:
    """Put other attention [row, head, query, key] in the place of the model's: a tensor that broadcasts, one per layer,
    or a function of (pattern, layout) whose result has the chosen heads. Acts on every backend; differentiable.
    """
    as_tuple = [(w,) if isinstance(w, int) else None if w is None else tuple(w) for w in (layers, heads)]
    return ReplacePattern(pattern, as_tuple[0], as_tuple[1])
