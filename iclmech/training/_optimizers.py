"""Muon for the matrices of the blocks (batched by shape), AdamW for embeddings, readout and norms."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ._network import MiniNet
from ._recipe import Recipe

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(update: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices of a stack [n, rows, columns], roughly, by five Newton–Schulz steps."""
    a, b, c = _NEWTON_SCHULZ
    tall = update.shape[-2] > update.shape[-1]
    x = update.transpose(-1, -2) if tall else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(-1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(-1, -2) if tall else x


class BatchedMuon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) with Nesterov momentum; matrices of one shape are orthogonalised together.

    The step is scaled by sqrt(max(1, rows / columns)), as in `torch.optim.Muon`; a test compares the two.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is ever used
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in shapes.items():
                self._step_shape(group, shape, parameters)

    def _step_shape(self, group: dict, shape: torch.Size, parameters: list[nn.Parameter]) -> None:
        gradient = torch.stack([p.grad for p in parameters if p.grad is not None])
        state = self.state[parameters[0]]
        momentum = state.setdefault("momentum_buffer", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - group["momentum"])
        update = orthogonalise(gradient.lerp(momentum, group["momentum"]))
        scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        for parameter, change in zip(parameters, update.unbind(), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(change, alpha=-scale)


def build_optimizers(net: MiniNet, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """The optimisers of a run: Muon for matrices inside the blocks, AdamW (no decay) for everything else."""
    blocks = [p for name, p in net.named_parameters() if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in net.named_parameters() if not (p.ndim == 2 and ".layers." in name)]
    if recipe.lr_muon <= 0:
        adam = torch.optim.AdamW(
            [{"params": blocks, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.lr_adam, betas=(recipe.beta1, recipe.beta2), fused=True,
        )  # fmt: skip
        return [adam]
    adam = torch.optim.AdamW(
        others, lr=recipe.lr_adam, betas=(recipe.beta1, recipe.beta2), weight_decay=0.0, fused=True
    )
    return [BatchedMuon(blocks, recipe.lr_muon, recipe.momentum, recipe.weight_decay), adam]
