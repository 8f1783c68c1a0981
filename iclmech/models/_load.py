"""`load_model`: a shipped model, a local directory, or a name on the hub, as a raw TransformerBridge in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iclmech._base import ModelError

from ._model import ICLModel
from ._selfcheck import probe_tokens
from .backends._attention_windows import windows_of
from .backends._boot import boot, quiet


def list_models() -> list[str]:
    """Names of the models that are shipped in the package, snapshots of their training included."""
    from iclmech.mini import list_mini_models

    return list_mini_models()


def load_model(
    name: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
) -> ICLModel:
    """Load a model and wrap it.

    Parameters
    ----------
    name: a shipped model ("icl-mini", "icl-mini@step-1500"), a local directory in Hugging Face format (config, weights
        and tokenizer), or a model name on the Hugging Face hub that TransformerLens can boot.
    device: "cpu", "cuda", ...; the first GPU if there is one, else the CPU.
    dtype: of the weights; float32 whatever the file holds, unless asked otherwise.
    trust_remote_code: passed to transformers.

    Raises `ModelError` if it is none of the three, `BackendError` if it loads but fails the self-check.
    """
    source = _resolve(str(name))
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
            plain = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, attn_implementation="eager", trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{name!r} could not be loaded: {_first_line(error)} Expected a shipped model ({', '.join(list_models()[:3])}, ...), "
                "a directory with config.json, weights and tokenizer, or a model name on the Hugging Face hub."
            ) from error
        plain = plain.eval().to(device)  # type: ignore[arg-type]  # a device it is
        bridge, reference = _boot_and_compare(plain, tokenizer, dtype)
        return ICLModel(bridge, str(name), plain=reference)


def _boot_and_compare(plain: Any, tokenizer: Any, dtype: torch.dtype) -> tuple[Any, tuple[Tensor, Tensor]]:
    """The bridge, and probe tokens with the logits that the same weights gave before they were wrapped."""
    config = plain.config.get_text_config()
    windows = windows_of(config, config.num_hidden_layers)
    tokens = probe_tokens(config.vocab_size, config.max_position_embeddings, windows).to(plain.device)
    with torch.no_grad():
        logits = plain(input_ids=tokens, use_cache=False).logits.clone()
    try:
        return boot(plain, tokenizer, dtype), (tokens, logits)
    except (NotImplementedError, KeyError, AttributeError, ValueError) as error:
        raise ModelError(f"TransformerLens cannot boot {type(plain).__name__}: {_first_line(error)}") from error


def _resolve(name: str) -> str:
    """The directory or hub name behind a name."""
    if name.partition("@")[0] in {model.partition("@")[0] for model in list_models()}:
        from iclmech.mini import mini_model_dir

        return str(mini_model_dir(name))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path} holds no config.json; expected a directory that save_pretrained wrote.")
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(
            f"{path} is not a directory; expected one that save_pretrained wrote, or a hub name like owner/model."
        )
    return name


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."
