"""`load_model`: a shipped model, a local directory, a GGUF file or a name on the hub, as a raw TransformerBridge in float32."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from iclmech._base import BackendError, ICLMechError, ModelError

from ._families import refusal
from ._model import ICLModel
from ._model_source import Source, listed, source_of
from ._tokenizer import load_tokenizer
from .backends._boot import boot_and_compare, first_line, quiet


def list_models() -> list[str]:
    """Names of the models that are here and load without a hub.

    Those that are shipped in the package, snapshots of their training included, and those of other packages
    ("smollm2-135m") where their files are installed; `get_model_file` installs them.
    """
    return listed()


def load_model(
    name: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
    device_map: str | dict[str, Any] | None = None,
    offload_folder: str | Path | None = None,
) -> ICLModel:
    """Load a model and wrap it.

    Args:
        name: a shipped model ("icl-mini", "icl-mini@step-1500"), "smollm2-135m" (`get_model_file`), a local directory in
            Hugging Face format (config, weights and tokenizer), a GGUF file or a directory with just one, or a model name
            on the Hugging Face hub that TransformerLens can boot.
        device: "cpu", "cuda", ...; the first GPU if there is one, else the CPU.
        dtype: of the weights; float32 whatever the file holds, unless asked otherwise.
        trust_remote_code: passed to transformers.
        device_map: for models that do not fit one device: passed to transformers, which spreads the weights with accelerate
            ("auto", or {module: "cuda:0", "cpu" or "disk"}). Such a model can be read (captures, cuts, patches, vectors),
            not changed.
        offload_folder: where weights on the disk are kept.

    Returns:
        The model, checked. `ICLModel.origin` says where its weights come from.

    Raises:
        ModelError: it is none of these, cannot be read, or is of a family that is refused by name.
        BackendError: it loads but fails the self-check.

    >>> load_model("icl-mini").shape.n_layers
    4
    """
    source = source_of(str(name))
    where = _device(device)
    with quiet():
        spread = {} if device_map is None else {"device_map": device_map, "offload_folder": offload_folder}
        plain, tokenizer = _read(str(name), source, dtype, trust_remote_code, spread)
        plain = plain.eval() if spread else plain.eval().to(where)
        bridge, reference = boot_and_compare(plain, tokenizer, dtype, source.path)
        try:
            return ICLModel(bridge, str(name), tokenizer, plain=reference, origin=source.origin)
        except ICLMechError:
            raise
        except Exception as error:
            raise BackendError(
                f"{str(name)!r} loads, but what it does cannot be followed: {first_line(error)} Expected a decoder whose blocks "
                "are attention and MLP; take a family that loads: docs/howto/models.md lists them."
            ) from error


def _read(
    name: str, source: Source, dtype: torch.dtype, trust_remote_code: bool, spread: dict[str, Any]
) -> tuple[Any, Any]:
    """The plain model and its tokenizer; whatever goes wrong is a `ModelError`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    more: dict[str, Any] = {"gguf_file": source.gguf} if source.gguf else {"trust_remote_code": trust_remote_code}
    try:
        if not source.gguf:
            config = AutoConfig.from_pretrained(source.path, **more)
            why = refusal(config.get_text_config())
            if why:
                raise ModelError(f"{name!r} ({config.model_type}) is refused: {why}")
        tokenizer = load_tokenizer(source.path, trust_remote_code=trust_remote_code, gguf_file=source.gguf)
        more |= {"dtype": dtype, "attn_implementation": "eager", "output_loading_info": True, **spread}
        with _no_bar() if source.gguf else contextlib.nullcontext():
            loaded: Any = AutoModelForCausalLM.from_pretrained(source.path, **more)
        plain, info = loaded
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{name!r} could not be loaded: {first_line(error)} {_way_out(error)}") from error
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise ModelError(
            f"{name!r} could not be loaded: its files lack {len(missing)} weights ({', '.join(missing[:3])}, ...), which "
            "would be random. Expected all that the config asks for; copy or download the checkpoint again."
        )
    if source.gguf:  # dequantised: what follows sees weights like any others
        plain.hf_quantizer = None
        plain.config.__dict__.pop("quantization_config", None)
    return plain, tokenizer


@contextlib.contextmanager
def _no_bar() -> Iterator[None]:
    """Dequantising without the bar that transformers shows whatever its settings."""
    reader: Any = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    before = reader.tqdm
    reader.tqdm = lambda items, **_: items  # a bar is an iterator over its items
    try:
        yield
    finally:
        reader.tqdm = before


def _way_out(error: Exception) -> str:
    text = f"{type(error).__name__} {error}".lower()
    if "safetensor" in type(error).__name__.lower():
        return "Expected complete safetensors files; copy or download the checkpoint again."
    if any(word in text for word in ("pickle", "torch.load", "weights_only", "pytorch checkpoint")):
        return (
            "Expected safetensors; torch refuses pickled weights that it cannot vouch for. Convert the checkpoint where you "
            "trust it: from_pretrained(...), then save_pretrained(...)."
        )
    if isinstance(error, ImportError):
        return "Install the package that it names."
    return (
        f"Expected a shipped model ({', '.join(listed()[:3])}, ...), a directory with config.json, weights and tokenizer, a "
        "GGUF file, or a model name on the Hugging Face hub (with HF_HUB_OFFLINE=1 the hub is not asked)."
    )


def _device(device: str | torch.device | None) -> torch.device:
    """The device asked for, once it was found to hold a number and to give it back."""
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=found).cpu()
    except Exception as error:
        there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        raise ModelError(
            f"got device={str(device)!r}, which cannot be used here: {first_line(error)} Expected one of {there}."
        ) from error
    return found
