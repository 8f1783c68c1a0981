"""A model where a name may stand in its place, and what the names that are here stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclmech._base import ModelError

from ._load import list_models, load_model
from ._model import ICLModel
from ._model_file import FILES

if TYPE_CHECKING:
    import pandas as pd


def model_of(model: Any) -> ICLModel:
    """The model itself; of a name or a directory the model that it stands for; of a TransformerLens model one around it.

    Raises:
        ModelError: it is none of these, or cannot be used.
    """
    if isinstance(model, ICLModel):
        return model
    if isinstance(model, str | Path):
        return load_model(model)
    if hasattr(model, "cfg") or hasattr(model, "config"):
        return ICLModel(model)
    raise ModelError(
        f"got a {type(model).__name__} as the model; expected a name such as 'icl-mini', a directory, an ICLModel, or a "
        "TransformerLens model. A transformers model goes in as ICLModel(model, tokenizer=tokenizer)."
    )


def model_table() -> pd.DataFrame:
    """What `list_models` names: a row a model, with the columns what, size and snapshots; snapshots of training are counted.

    >>> model_table().loc["icl-mini", "size"]
    '4 layers × 4 heads × 64'
    """
    import pandas as pd

    rows: dict[str, dict[str, str]] = {}
    names = list_models()
    for name in names:
        if "@" in name:
            continue
        snapshots = [n.partition("@")[2] for n in names if n.startswith(f"{name}@")]
        rows[name] = {
            "what": _what(name),
            "size": _size(name),
            "snapshots": f"{len(snapshots)}: {name}@{snapshots[0]} …" if snapshots else "",
        }
    for name, file in FILES.items():
        if name not in rows:
            rows[name] = {"what": f"{file.hub}; not installed: iclmech get {name}", "size": "", "snapshots": ""}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _what(name: str) -> str:
    if name in FILES:
        return f"{FILES[name].hub}, installed"
    if name == "icl-mini":
        return "labels and words in context"
    return (
        f"functions in context ({name.removeprefix('fn-').replace('-', ' ')})" if name.startswith("fn-") else "shipped"
    )


def _size(name: str) -> str:
    from iclmech.mini import mini_model_dir

    if name in FILES:
        return "135 million weights" if "135m" in name else ""
    file = Path(mini_model_dir(name)) / "config.json"
    if not file.is_file():
        return ""
    found = json.loads(file.read_text(encoding="utf-8"))
    layers, heads, width = (
        next((found[key] for key in keys if key in found), "?")
        for keys in (("n_layer", "num_hidden_layers"), ("n_head", "num_attention_heads"), ("n_embd", "hidden_size"))
    )
    return f"{layers} layers × {heads} heads × {width}"
