"""Optimisers: Muon for the matrices of the blocks (batched by shape) with AdamW for the rest; AdamW alone; SGD.

They all work element by element or matrix by matrix, so a run in a stack takes the steps of the run alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from iclmech._base import ModelError

OptimizerName = Literal["muon", "adamw", "sgd"]

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

    The step is scaled by sqrt(max(1, rows / columns)), as in `torch.optim.Muon`; a test compares the two. A parameter
    with a leading model axis is as many matrices as there are models.
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
        scale = group["lr"] * max(1.0, shape[-2] / shape[-1]) ** 0.5
        for parameter, change in zip(parameters, update.unbind(), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(change, alpha=-scale)


def build_optimizers(
    module: nn.Module,
    kind: OptimizerName = "adamw",
    *,
    lr: float = 2e-3,
    lr_muon: float = 0.01,
    momentum: float = 0.95,
    betas: tuple[float, float] = (0.9, 0.98),
    weight_decay: float = 0.0,
) -> list[torch.optim.Optimizer]:
    """The optimisers of a run. Weight decay falls on the matrices of the blocks alone.

    Args:
        module: a `SmallNet`, a stack, or a module that holds one beside parts of its own (all of them are trained).
        kind: "muon" (Muon for the matrices of the blocks, AdamW for everything else), "adamw" or "sgd".
        lr: of AdamW and SGD.
        lr_muon: of Muon.
        momentum: of Muon (Nesterov) and SGD.
        betas: of AdamW.

    Raises:
        ModelError: another kind.

    >>> [type(o).__name__ for o in build_optimizers(nn.Linear(2, 2), "sgd", lr=0.1)]
    ['SGD']
    """
    named = list(module.named_parameters())
    blocks = [p for name, p in named if ".layers." in name and name.endswith("_proj.weight")]
    taken = {id(p) for p in blocks}
    others = [p for _, p in named if id(p) not in taken]
    apart = [{"params": blocks, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    apart = [group for group in apart if group["params"]]
    if kind == "muon":
        adam = torch.optim.AdamW(others, lr=lr, betas=betas, weight_decay=0.0, fused=True)
        return [BatchedMuon(blocks, lr_muon, momentum, weight_decay), adam]
    if kind == "adamw":
        return [torch.optim.AdamW(apart, lr=lr, betas=betas, fused=True)]
    if kind == "sgd":
        return [torch.optim.SGD(apart, lr=lr, momentum=momentum, fused=True)]
    raise ModelError(f"got the optimiser {kind!r}; expected 'muon', 'adamw' or 'sgd'.")


@torch.no_grad()
def clip_gradients(module: nn.Module, largest: float, models: int | None = None) -> None:
    """Scale gradients down to a norm of at most `largest`; in a stack each model's own, by its own norm."""
    if models is None:
        torch.nn.utils.clip_grad_norm_(module.parameters(), largest)
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients], dim=1)
    total = torch.stack([torch.linalg.vector_norm(mine) for mine in norms.unbind()])
    factor = (largest / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
