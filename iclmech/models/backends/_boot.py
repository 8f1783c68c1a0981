"""A TransformerBridge around a transformers model object, without the noise of loading."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from iclmech._base import ModelError

from .._families import refusal
from .._selfcheck import probe_tokens
from ._attention_windows import windows_of


def boot(model: Any, tokenizer: Any, dtype: torch.dtype, name: str | None = None) -> Any:
    """A TransformerBridge around a transformers model object. The object is wrapped in place.

    Args:
        model: with weights; its config is given the name of its class where it lacks one.
        tokenizer: of transformers. The bridge gets a copy that puts BOS in front.
        dtype: of the weights.
        name: directory or hub name; the tokenizer's by default.
    """
    from transformer_lens.model_bridge import TransformerBridge

    if not getattr(model.config, "architectures", None):
        model.config.architectures = [type(model).__name__]
    path = name or str(getattr(tokenizer, "name_or_path", "") or "local-model")
    with quiet():
        return TransformerBridge.boot_transformers(
            path, hf_model=model, tokenizer=_with_bos(tokenizer), device=str(model.device), dtype=dtype
        )


def boot_and_compare(
    plain: Any, tokenizer: Any, dtype: torch.dtype, name: str | None = None
) -> tuple[Any, tuple[Tensor, Tensor]]:
    """The bridge, and probe tokens with the logits that the same weights gave before they were wrapped.

    Raises:
        ModelError: the family is refused by name, or TransformerLens cannot boot it.
    """
    kind, config = type(plain).__name__, plain.config.get_text_config()
    why = refusal(config)
    if why:
        raise ModelError(f"{kind} is refused: {why}")
    try:
        windows = windows_of(config, config.num_hidden_layers)
        tokens = probe_tokens(config.vocab_size, context_length(config) or 8, windows).to(plain.device)
        with torch.no_grad():
            logits = plain(input_ids=tokens, use_cache=False).logits.clone()
        return boot(plain, tokenizer, dtype, name), (tokens, logits)
    except Exception as error:
        unknown = "determine supported architecture" in str(error)
        said = "it has no adapter for this architecture." if unknown else first_line(error)
        raise ModelError(
            f"TransformerLens cannot boot {kind}: {said} Expected a decoder that it knows; take a family "
            "that loads: docs/howto/models.md lists them."
        ) from error


def first_line(error: BaseException) -> str:
    """An error in one sentence of at most 200 characters: its first line, or its type where it says nothing."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return (text if len(text) <= 200 else text[:197] + "...") + "."


def _with_bos(tokenizer: Any) -> Any:
    """A copy of a tokenizer that puts BOS in front, made from its own files; itself where it has no BOS or does so."""
    if tokenizer.bos_token is None or tokenizer.init_kwargs.get("add_bos_token"):
        return tokenizer
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        try:
            return type(tokenizer).from_pretrained(place, add_bos_token=True)
        except ValueError:  # a BOS that tokenizers cannot put into a template
            return type(tokenizer).from_pretrained(place)


def context_length(config: Any) -> int | None:
    """The longest prompt that a transformers config allows; None where it does not say."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Loading without progress bars and advice; errors still come through."""
    from transformers.utils import logging as hf_logging

    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    root = logging.getLogger()
    before = root.level
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    root.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        root.setLevel(before)
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
