"""From a trained net, or one of a stack, to a Hugging Face directory and to snapshots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from iclmech._base import ModelError
from iclmech.mini import save_tokenizer, vocabulary

from ._network import NetConfig, SmallNet


def net_weights(net: SmallNet, model: int = 0) -> dict[str, Tensor]:
    """The weights under the names of `transformers.LlamaForCausalLM`, float32 on the CPU; of a stack one model's.

    MLPs are filled up to one width with zeros, a block without MLP gets one of zeros: they add exactly 0.
    """
    own = {n: v if net.models is None else v[model] for n, v in net.state_dict().items()}
    found = {name: value.detach().float().cpu() for name, value in own.items()}
    inner = max(1, *net.config.mlp_widths)
    for layer, width in enumerate(net.config.mlp_widths):
        place, d_model = f"model.layers.{layer}", net.config.d_model
        if width == inner:
            continue
        if width == 0:
            found[f"{place}.post_attention_layernorm.weight"] = torch.ones(d_model)
        for name in ("gate_proj", "up_proj"):
            have = found.get(f"{place}.mlp.{name}.weight", torch.zeros(0, d_model))
            found[f"{place}.mlp.{name}.weight"] = F.pad(have, (0, 0, 0, inner - width))
        have = found.get(f"{place}.mlp.down_proj.weight", torch.zeros(d_model, 0))
        found[f"{place}.mlp.down_proj.weight"] = F.pad(have, (0, inner - width))
    return {name: value.contiguous() for name, value in found.items()}


def export_net(
    net: SmallNet,
    directory: str | Path,
    *,
    model: int = 0,
    words: Sequence[str] | None = None,
    embed: Float[Tensor, "word d"] | None = None,
    unembed: Float[Tensor, "word d"] | None = None,
) -> Path:
    """Write ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``tokenizer_config.json``.

    ``transformers.AutoModelForCausalLM.from_pretrained(directory)`` gives the same logits up to rounding, of ids and of
    embeddings, and `iclmech.load_model(directory)` takes it.

    Args:
        net: a net or a stack.
        directory: made where it is not there.
        model: which net of a stack.
        words: the vocabulary, BOS first; texts are split at white space, and a word that is not there is read as
            BOS. None is icl-mini's vocabulary and tokenizer.
        embed: other embedding rows than the net's, for other words: items of a world, as its encoder sees them.
        unembed: the rows of the readout for the same words; zeros read nothing.

    Returns:
        The directory.

    Raises:
        ModelError: words that do not fit the tables, or no such net in the stack.
    """
    directory, weights = Path(directory), _exported(net, model, embed, unembed)
    n = len(weights["lm_head.weight"])
    names = vocabulary() if words is None else tuple(words)
    if not len(names) == len(set(names)) == n == len(weights["model.embed_tokens.weight"]):
        raise ModelError(
            f"got {len(set(names))} different words for tables of {len(weights['model.embed_tokens.weight'])} (embeddings) "
            f"and {n} rows (readout); expected one word for each row. Give words=, and embed= and unembed= of one length."
        )
    config = net.config.hf_config(n)
    if words is None:
        save_tokenizer(directory, net.config.n_ctx)
    else:
        save_word_tokenizer(names, directory, net.config.n_ctx)
        config |= {"eos_token_id": None, "pad_token_id": None}
    config |= {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": net.config.norm_eps}
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def _exported(net: SmallNet, model: int, embed: Tensor | None, unembed: Tensor | None) -> dict[str, Tensor]:
    count = net.models or 1
    if not 0 <= model < count:
        raise ModelError(f"got model {model}; this stack has {count}, numbered from 0.")
    weights = net_weights(net, model)
    for name, table in (("model.embed_tokens.weight", embed), ("lm_head.weight", unembed)):
        if table is not None:
            weights[name] = table.detach().float().cpu().contiguous()
    return weights


def save_word_tokenizer(words: Sequence[str], directory: Path, n_ctx: int) -> None:
    """A tokenizer of whole words, split at white space, that puts the first word in front as BOS.

    Any other word is read as BOS: TransformerLens tries one, and expects to get by.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    bad = [word for word in words if not word or word.split() != [word]]
    if bad:
        raise ModelError(f"got the word {bad[0]!r}; expected words without white space: texts are split there.")
    directory.mkdir(parents=True, exist_ok=True)
    bos = words[0]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=bos))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([bos])
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, 0)])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": n_ctx, "bos_token": bos,
        "clean_up_tokenization_spaces": False, "add_bos_token": True, "padding_side": "right",
    }  # fmt: skip
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def save_snapshot(net: SmallNet, path: str | Path) -> Path:
    """Write the weights alone, as float32: a net's under the names of an exported model, a stack's with their model axis."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({n: v.detach().float().cpu().contiguous() for n, v in net.state_dict().items()}, path, {"format": "pt"})
    return path


def load_net(weights: dict[str, Tensor], config: NetConfig) -> SmallNet:
    """A `SmallNet` with the given weights (as read from a safetensors file), a stack where they have a model axis."""
    table = weights["lm_head.weight"]
    models = len(table) if table.ndim == 3 else None
    net = SmallNet(config, table.shape[-2], torch.Generator().manual_seed(0), models)
    net.load_state_dict({name: value.float() for name, value in weights.items()})
    return net
