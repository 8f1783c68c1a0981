"""Snapshots of a stack: one safetensors file per step, or kept in memory; and one net of them as a directory of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from iclmech._base import FileError, read_safetensors, write_safetensors
from iclmech.training import export_net, unstack

from ._net_shape import Net
from ._world import World
from ._world_net import WorldNet

_KIND, _SCHEMA = "stacked snapshot", 1
BOS = "<bos>"


class Snapshots:
    """The weights of a stack by step.

    Args:
        directory: where they are kept; None keeps them in memory.
    """

    def __init__(self, directory: str | Path | None = None):
        self.directory = None if directory is None else Path(directory)
        self._kept: dict[int, dict[str, Tensor]] = {}

    @property
    def steps(self) -> list[int]:
        """Steps of which there is a snapshot."""
        if self.directory is None:
            return sorted(self._kept)
        return sorted(int(path.stem.rpartition("_")[2]) for path in self.directory.glob("step_*.safetensors"))

    def add(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights of a step."""
        if self.directory is None:
            self._kept[step] = {name: value.detach().clone() for name, value in weights.items()}
        else:
            write_safetensors(self._path(step), weights, _KIND, _SCHEMA, {"step": step})

    def weights(self, step: int) -> dict[str, Tensor]:
        """The weights of a step. Raises `FileError` where there are none."""
        if step not in self.steps:
            where = "in memory" if self.directory is None else f"in {self.directory}"
            raise FileError(f"got step {step}; the snapshots {where} are of steps {self.steps or 'none'}.")
        return self._kept[step] if self.directory is None else read_safetensors(self._path(step), _KIND, _SCHEMA)[0]

    def in_memory(self) -> Snapshots:
        """All of them, kept in memory."""
        here = Snapshots()
        for step in self.steps:
            here.add(step, self.weights(step))
        return here

    def write(self, directory: Path) -> None:
        """Write all of them into another directory."""
        if self.directory is not None and self.directory.resolve() == directory.resolve():
            return
        there = Snapshots(directory)
        for step in self.steps:
            there.add(step, self.weights(step))

    def _path(self, step: int) -> Path:
        return Path(self.directory or ".") / f"step_{step:06d}.safetensors"


def net_from(weights: Mapping[str, Tensor], world: World, shape: Net, runs: int) -> WorldNet:
    """The stack that a snapshot is of."""
    module = WorldNet(world, shape, range(runs))
    module.load_state_dict(dict(weights))
    return module


def words_of(labels: int, classes: int, each: int) -> list[str]:
    """The vocabulary of an exported net: BOS, labels y0 …, items x0 …, class by class.

    >>> words_of(2, 1, 2)
    ['<bos>', 'y0', 'y1', 'x0', 'x1']
    """
    return [BOS, *(f"y{n}" for n in range(labels)), *(f"x{n}" for n in range(classes * each))]


@torch.no_grad()
def export_run(module: WorldNet, run: int, directory: str | Path, items: Tensor) -> Path:
    """Write one net with BOS, labels and items as words.

    Args:
        items: [class, each, width], as the net's encoder takes them (of a world of tokens: embeddings).

    Returns:
        The directory, in Hugging Face format. Without a BOS of its own the net gets one of zeros.
    """
    shape, n = items.shape, module.n_labels
    rows = items.reshape(1, 1, -1, shape[-1]).expand(module.models, -1, -1, -1)
    encoded = module.encode(rows)[run, 0]
    alone = unstack(module.net, run)
    bos = module.bos[run] if module.shape.bos else torch.zeros(alone.config.d_model)  # type: ignore[index]
    labels, readout = alone.model.embed_tokens.weight[:n], alone.lm_head.weight[:n]  # type: ignore[union-attr,index]
    embed = torch.cat([bos[None], labels, encoded])
    unembed = torch.zeros_like(embed)
    unembed[1 : n + 1] = readout
    words = words_of(n, shape[0], shape[1])
    return export_net(alone, directory, words=words, embed=embed, unembed=unembed)
