"""Which models have a twin that may stand in for them, and when."""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from iclmech._base import Guard

from .._model import ICLModel
from .._selfcheck import probe_tokens
from .._verified import close, verdict
from ._twin import Twin, attention

_OWN = ("transformer_lens.", "transformers.")

_twins: WeakKeyDictionary[ICLModel, Twin | str] = WeakKeyDictionary()
"""The twin of every model for which one could be built, and for the others what is in the way."""


def twin_of(model: ICLModel) -> Twin | str:
    """The model's plain twin, built and checked at the first call, or the reason why it has none.

    A twin whose weights the model has since put elsewhere, or on which anything still listens, is built and checked again. Ask `user_hooks` first: a twin knows
    nothing of hooks.
    """
    found = _twins.get(model)
    if found is None or (isinstance(found, Twin) and (found.carries_hooks() or not found.follows())):
        _twins[model] = found = _build(model)
    if isinstance(found, str):
        return found
    return verdict(found, "states and readout", lambda: _difference(model, found)) or found


def user_hooks(model: ICLModel, besides: Collection[int] = ()) -> bool:
    """Whether anybody has placed a hook on the model, with TransformerLens or with PyTorch.

    Hooks that the two libraries place themselves do not count: TransformerLens' own, and those by which transformers
    hands out attentions and hidden states, which stay on the modules after the first such call and change nothing.
    `besides`: identities of handles that do not count either.
    """
    points = model.hooked.hook_dict.values()
    if any(id(handle) not in besides for point in points for handle in getattr(point, "fwd_hooks", None) or ()):
        return True
    for module in model.hooked.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            if any(not str(getattr(hook, "__module__", "")).startswith(_OWN) for hook in hooks.values()):
                return True
    return False


def _build(model: ICLModel) -> Twin | str:
    try:
        with torch.inference_mode(False):  # a twin outlives the caller's mode
            return Twin(model.backend)
    except Exception as error:  # the hooked model is always there, so whatever fails here only costs time
        return f"no plain twin: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


@torch.no_grad()
def _difference(model: ICLModel, twin: Twin) -> str:
    """What is wrong: the first layer after which the twin's state of a probe is not the model's, or the readout; else ""."""
    tokens = probe_tokens(model.shape.d_vocab, model.shape.n_ctx, model.backend.local_windows())[:1].to(model.device)
    mine: list[Tensor] = []
    theirs: list[Tensor] = []
    with model.reading(), model.hooks([("resid_post", layer, mine.append) for layer in range(model.shape.n_layers)]):
        model.forward(tokens, unembed=False)

    def keep(module: object, args: object, output: Tensor | tuple[Tensor, ...]) -> None:
        theirs.append(output[0] if isinstance(output, tuple) else output)

    twin.refresh()

    def listen(guard: Guard) -> None:
        for block in twin.blocks:
            guard.hook(block, keep)

    with twin.using(lambda layer, query, key, value, scale: attention(query, key, value, scale, None), listen):
        twin.base(input_ids=tokens, use_cache=False)
    theirs.append(twin.readout(mine[-1]))
    mine.append(model.readout(mine[-1]))
    for layer, (a, b) in enumerate(zip(theirs, mine, strict=True)):
        if not close(a, b, model.dtype):
            where = f"layer {layer}" if layer < model.shape.n_layers else "the readout"
            return f"the plain twin differs from the model in {where}"
    return ""
