"""`ICLModel`: one face for every TransformerLens model that iclmech works on."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, NoReturn

import torch
from jaxtyping import Float, Int
from torch import Tensor

from iclmech._base import Guard, ModelError, digest, tensor_digest

from ._owner import owner_of
from ._protocol import Capabilities, HookFn, ModelShape, Parameter
from ._selfcheck import check, place
from .backends._backend_of import backend_of, booted
from .backends._spread import input_device, is_spread, resident

Selector = Literal["attn_kv", "attn_v", "all"] | Callable[[str, int | None], bool]


class ICLModel:
    """A TransformerLens model with everything that iclmech needs of it, checked at construction.

    Parameters
    ----------
    model: a `TransformerBridge` (TransformerLens 3.9 or 4.x), a `HookedTransformer` (3.9), a plain transformers model, which
        TransformerLens then takes over, or a small net that `iclmech.training` trains. It is wrapped, not copied, and put into
        evaluation mode.
    name: how results call it.
    tokenizer: only where the model carries none.
    plain: tokens and the logits that the same weights give on them outside TransformerLens, to be compared.
    origin: what results should know of where the weights come from, by keyword.
    like: what was found on a model of the same architecture (`untrained` passes it).

    Attributes: `hooked` (the TransformerLens model itself), `shape` (sizes), `capabilities` (what the self-check chose),
    `origin` (where the weights come from; a GGUF file's says what it was dequantised from).

    Raises `ModelError` for anything else, `BackendError` where the self-check finds a quantity that cannot be had right.
    """

    def __init__(
        self,
        model: Any,
        name: str | None = None,
        tokenizer: Any = None,
        *,
        plain: tuple[Tensor, Tensor] | None = None,
        origin: dict[str, str] | None = None,
        like: Capabilities | None = None,
    ):
        model, before = booted(model, tokenizer)
        self.backend = model if hasattr(model, "key_value_parameters") else backend_of(model, tokenizer)
        self.hooked: Any = self.backend.hooked
        self.name = name or str(getattr(self.hooked.cfg, "model_name", None) or "model")
        self.owner = owner_of(self.hooked)
        with self.owner.read():
            self.capabilities = check(self.backend, plain or before, like)
        self.origin = dict(origin or {"source": "an object in hand"})
        self._applied: list[str] = []

    def __repr__(self) -> str:
        s = self.shape
        heads = f"{s.n_heads} heads" if s.n_heads == s.n_kv_heads else f"{s.n_heads} heads on {s.n_kv_heads} keys"
        return (
            f"ICLModel({self.name!r}, {self.backend.kind}, {s.n_layers} layers × {heads}, d_model {s.d_model}, "
            f"context {s.n_ctx}, {str(self.dtype).removeprefix('torch.')} on {self.device}{self._remarks()})"
        )

    def _remarks(self) -> str:
        """What of the origin a reader of numbers must know."""
        quantised = self.origin.get("dequantised from")
        remarks = [self.origin.get("training"), f"dequantised from {quantised}" if quantised else None]
        return "".join(f", {remark}" for remark in remarks if remark)

    @property
    def shape(self) -> ModelShape:
        """Sizes: layers, heads, key heads, widths, vocabulary, context."""
        return self.backend.shape

    @property
    def tokenizer(self) -> Any:
        """The tokenizer; `ModelError` where the model has none."""
        if self.backend.tokenizer is None:
            raise ModelError(f"{self.name} has no tokenizer. Pass one: ICLModel(model, tokenizer=...).")
        return self.backend.tokenizer

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found = self.backend.key_value_parameters()[0].tensor.device
        return input_device(self.hooked) if found.type == "meta" else found

    @property
    def spread(self) -> bool:
        """Whether a device map has spread the weights over devices or the disk: the model can be read, not changed."""
        return is_spread(self.hooked)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the key and value projections."""
        return self.backend.key_value_parameters()[0].tensor.dtype

    @property
    def bos(self) -> int:
        """The id that opens every prompt: BOS, or EOS where there is none. `ModelError` where there is neither."""
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise ModelError(f"the tokenizer of {self.name} has neither a BOS nor an EOS token; set one of them.")

    def tokenize(self, text: str) -> list[int]:
        """Ids of `text` without special tokens; one that is spelled out in the text is read as text."""
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        return list(self.tokenizer(text, **options)["input_ids"])

    def forward(
        self,
        rows: Int[Tensor, "row position"] | Float[Tensor, "row position d_model"],
        *,
        positions: Int[Tensor, "row position"] | None = None,
        cache: Any = None,
        unembed: bool = True,
    ) -> Any:
        """Logits [row, position, d_vocab] of token ids or embeddings, differentiable where gradients are enabled.

        Rows are padded on the right (causal attention needs no mask for that). `positions`: position ids, where the
        query does not stand at the start. `cache`: from the backend's `expand`. `unembed=False`: run for the hooks
        only; the result is not to be used.
        """
        with self.owner.own():
            return self.backend.forward(rows, positions=positions, cache=cache, unembed=unembed)

    def reading(self) -> Guard:
        """The model in the state in which it is read, for the length of a `with` block: evaluation mode, no autocast.

        The thread owns the model inside: other threads wait. Modes and flags are as before at the end. `capture` and all that
        builds on it do this themselves; here is the same for passes of your own.
        """
        return self.owner.read()

    def hooks(self, specs: Iterable[tuple[str, int, HookFn]]) -> Guard:
        """Place hooks (site, layer, function) for the length of a `with` block, in which other threads wait for the model.

        A function gets the tensor and returns None, or a replacement. Hooks of the user stay as they are.
        """

        def change(guard: Guard) -> None:
            self.owner.take(guard)
            place(self.backend, specs, guard)

        return Guard(change)

    def recording(self, sites: Iterable[str], layers: Iterable[int] | None = None) -> Guard:
        """Keep the states that passes inside a `with` block show, as the last of them left them.

        Args:
            sites: names of hooks, such as "resid_post" or "z".
            layers: all by default.

        Returns:
            A guard; `with … as seen` binds {(site, layer): tensor}, with the graph where gradients are enabled, filled
            while the block runs.

        Raises:
            BackendError: where the model has no such hook.
        """
        seen: dict[tuple[str, int], Tensor] = {}
        layers = range(self.shape.n_layers) if layers is None else list(layers)
        specs = [(s, n, partial(seen.__setitem__, (s, n))) for s in sites for n in layers]

        def change(guard: Guard) -> dict[tuple[str, int], Tensor]:
            self.owner.take(guard)
            place(self.backend, specs, guard)
            return seen

        return Guard(change)

    def readout(self, resid: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_vocab"]:
        """Logit lens: the model's own final norm and unembedding of a residual state."""
        with self.owner.read():
            return self.backend.readout(resid)

    def parameters(self, parameters: Selector = "attn_kv") -> list[Parameter]:
        """The trainable tensors a selector names: "attn_kv", "attn_v", "all", or a function of (name, layer)."""
        key_value = self.backend.key_value_parameters()
        if parameters == "attn_kv":
            return key_value
        if parameters == "attn_v":
            return [parameter for parameter in key_value if parameter.kind in ("v", "v_bias")]
        everything = key_value + self.backend.other_parameters()
        if parameters == "all":
            return everything
        if not callable(parameters):
            raise ModelError(
                f"got parameters={parameters!r}; expected 'attn_kv', 'attn_v', 'all' or a function of (name, layer)."
            )
        chosen = [parameter for parameter in everything if parameters(parameter.name, parameter.layer)]
        if not chosen:
            names = ", ".join(parameter.name for parameter in everything[:6])
            raise ModelError(f"the selector chose no parameter; the model's are named like {names}.")
        return chosen

    def leaves(self, parameters: Selector = "attn_kv") -> list[Parameter]:
        """The former name of `parameters`; it goes with the next release."""
        warnings.warn("ICLModel.leaves is now ICLModel.parameters.", DeprecationWarning, stacklevel=2)
        return self.parameters(parameters)

    def require_raw(self) -> None:
        """Raise `ModelError` if the weights cannot be changed (spread by a device map), or were folded or centred: their
        gradients are another model's."""
        self.require_one_device()
        why = self.backend.processed()
        if why:
            raise ModelError(
                f"{self.name} cannot be updated: {why}, which leaves predictions alone but changes gradients. "
                "Load it raw: iclmech.load_model(name), TransformerBridge.boot_transformers(name) without "
                "enable_compatibility_mode(), or HookedTransformer.from_pretrained_no_processing(name)."
            )

    def require_one_device(self) -> None:
        """Raise `ModelError` if a device map has spread the weights: they are brought in anew for every pass."""
        if self.spread:
            raise ModelError(
                f"{self.name} is spread by a device map, so its weights cannot be changed. Captures, cuts, patches and "
                "vectors work on it; for updates load it onto one device, in bfloat16 if float32 does not fit."
            )

    def hash(self) -> str:
        """16 hex digits that change when any weight does, whatever the tensors are called."""
        with self.owner.own():
            tensors: list[Tensor] = [parameter.tensor for parameter in self.parameters("all")]
            return digest(sorted(tensor_digest(tensor) for tensor in resident(self.hooked, tensors)))

    @property
    def applied(self) -> tuple[str, ...]:
        """Hashes of the weight updates in force, oldest first."""
        return tuple(self._applied)

    def mark(self, *updates: str) -> None:
        """Say which updates are in force now. Whoever applies them calls this."""
        self._applied = list(updates)

    def untrained(self, seed: int, embeddings: Literal["keep", "fresh"] = "keep") -> ICLModel:
        """A new model of this architecture with attention and MLP weights drawn afresh by its own initialisation.

        Embeddings, norms and unembedding are this model's (`"keep"`, the published control) or fresh as well.
        """
        if embeddings not in ("keep", "fresh"):
            raise ModelError(f"got embeddings={embeddings!r}; expected 'keep' or 'fresh'.")
        with self.owner.own(), torch.inference_mode(False), torch.no_grad():  # it outlives the caller's modes
            backend = self.backend.fresh(seed)
            if embeddings == "keep":
                mine = dict(self.backend.shared_parts())
                for name, tensor in backend.shared_parts():
                    tensor.copy_(mine[name])
        drawn = {"weights": f"drawn anew, seed {seed}; embeddings: {embeddings}"}
        name = f"{self.name} untrained #{seed}"
        return ICLModel(backend, name, origin={**self.origin, **drawn}, like=self.capabilities)

    def __deepcopy__(self, memo: dict[int, Any]) -> ICLModel:
        """A model of its own, with the weights as they are now."""
        with self.owner.own():
            new = memo[id(self)] = object.__new__(ICLModel)
            for name, value in vars(self).items():
                if name != "owner":
                    setattr(new, name, copy.deepcopy(value, memo))
            new.owner = owner_of(new.hooked)
            return new

    def __reduce__(self) -> NoReturn:
        raise ModelError(
            f"{self.name} cannot be pickled: its hooks are functions. Load it where it is needed: iclmech.load_model(name)."
        )
