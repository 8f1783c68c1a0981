"""From a trained network to a Hugging Face directory and to snapshots."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from iclmech.mini import save_tokenizer

from ._network import MiniNet, NetConfig


def net_weights(net: MiniNet) -> dict[str, Tensor]:
    """The weights under the names of `transformers.LlamaForCausalLM`, float32 on the CPU."""
    return {name: value.detach().float().cpu().contiguous() for name, value in net.state_dict().items()}


def export_net(net: MiniNet, directory: str | Path) -> Path:
    """Write ``config.json``, ``model.safetensors``, ``tokenizer.json`` and ``tokenizer_config.json``.

    ``transformers.AutoModelForCausalLM.from_pretrained(directory)`` gives the same logits up to rounding.
    """
    directory = Path(directory)
    save_tokenizer(directory, net.config.n_ctx)
    config = net.config.hf_config(net.lm_head.weight.shape[0])
    config |= {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": net.config.norm_eps}
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(net_weights(net), directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def save_snapshot(net: MiniNet, path: str | Path) -> Path:
    """Write the weights alone, as float32."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(net_weights(net), path, metadata={"format": "pt"})
    return path


def load_net(weights: dict[str, Tensor], config: NetConfig) -> MiniNet:
    """A `MiniNet` with the given weights (as read from a safetensors file)."""
    net = MiniNet(config, weights["lm_head.weight"].shape[0], torch.Generator().manual_seed(0))
    net.load_state_dict({name: value.float() for name, value in weights.items()})
    return net
