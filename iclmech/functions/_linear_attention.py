"""Linear self-attention that does gradient descent: the construction, as a small torch module."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from ._errors import FunctionError
from ._optimal_rates import best_rates, optimal_eta
from ._prompts import FunctionPrompts


class LinearAttention(torch.nn.Module):
    """Layers e ← e + P W_V Σ_j e_j (W_K e_j · W_Q e) over the n pairs, without softmax, scale, norm or bias; e = (x, y).

    What is asked comes in as (x, 0), is read by nobody, and its answer is minus its y slot behind the last layer.

    Args:
        layers: how many times attention is done.
        d: length of x.
        n: pairs that η is divided by.
        shared: the same weights in every layer.

    Attributes:
        w_q, w_k, w_v, p: [layer, d + 1, d + 1], one layer where shared.
    """

    def __init__(self, layers: int, d: int, n: int, shared: bool = True):
        if layers < 1 or d < 1 or n < 1:
            raise FunctionError(f"got layers={layers}, d={d}, n={n}; expected one or more of each.")
        super().__init__()
        self.layers, self.d, self.n = layers, d, n
        shape = (1 if shared else layers, d + 1, d + 1)
        for name in ("w_q", "w_k", "w_v", "p"):
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)))

    w_q: Tensor
    w_k: Tensor
    w_v: Tensor
    p: Tensor

    def forward(
        self,
        x: Float64[Tensor, "prompt example d"],
        y: Float64[Tensor, "prompt example"],
        queries: Float64[Tensor, "prompt query d"],
    ) -> Float64[Tensor, "prompt query"]:
        """The answers to all queries behind all pairs; queries do not see each other."""
        pairs = torch.cat([x, y[..., None]], dim=-1)
        asked = torch.cat([queries, torch.zeros_like(queries[..., :1])], dim=-1)
        scores, writes = self.w_k.mT @ self.w_q, self.p @ self.w_v
        for layer in range(self.layers):
            s, w = scores[layer % len(scores)], writes[layer % len(writes)]
            change = w @ (pairs.mT @ pairs) @ s  # [prompt, d + 1, d + 1]: what attention multiplies every e by
            asked = asked + asked @ change.mT
            if layer + 1 < self.layers:
                pairs = pairs + pairs @ change.mT
        return -asked[..., -1]

    def answers(self, prompts: FunctionPrompts) -> Float64[Tensor, "prompt prefix"]:
        """What it answers behind every prefix (η stays over n, however short the prefix)."""
        rows = range(prompts.n_examples)
        with torch.no_grad():
            each = [self(prompts.x[:, :i], prompts.y[:, :i], prompts.queries[:, i : i + 1]) for i in rows]
        return torch.cat(each, dim=1)

    def sensitivities(
        self,
        x: Float64[Tensor, "prompt example d"],
        y: Float64[Tensor, "prompt example"],
        queries: Float64[Tensor, "prompt query d"],
    ) -> Float64[Tensor, "prompt query d"]:
        """∂ answer / ∂ query: for gradient descent, its weights."""
        queries = queries.detach().clone().requires_grad_()
        return torch.autograd.grad(self(x, y, queries).sum(), queries)[0]

    @property
    def eta(self) -> float:
        """The learning rate of the first layer: -n (P W_V)_yy times the mean diagonal of (W_Kᵀ W_Q)_xx."""
        scores, writes = (self.w_k.mT @ self.w_q)[0].detach(), (self.p @ self.w_v)[0].detach()
        return float(-self.n * writes[-1, -1] * scores[:-1, :-1].diagonal().mean())


def linear_attention(
    layers: int = 1,
    d: int = 5,
    n: int = 10,
    eta: float | Literal["optimal"] = "optimal",
    gamma: float | Literal["optimal"] = 0.0,
    points: Literal["normal", "uniform"] = "normal",
) -> LinearAttention:
    """Linear attention whose layers are exactly steps of gradient descent, or of GD++, on (1/2n) Σ (w·x_i - y_i)².

    W_Q = W_K = diag(I, 0), W_V = diag(I, -1), P = diag(-γ/n I, η/n); the layers share them.

    Args:
        layers: steps.
        d: length of x.
        n: pairs in a prompt.
        eta: η; "optimal" has the least risk over w ~ N(0, I): n/(n + d + 1) for one layer and normal x, else by search.
        gamma: γ of GD++, over n; 0 is gradient descent.
        points: for "optimal", what x is: N(0, I), or uniform on (-1, 1).

    Raises:
        FunctionError: sizes below 1, or an optimal η beside a γ that is given.

    Source: von Oswald et al., arXiv 2212.07677; the optimum Zhang, Frei and Bartlett, arXiv 2306.09927.

    >>> import iclmech as icl
    >>> net = icl.functions.linear_attention(layers=1, d=5, n=10, eta="optimal")
    >>> round(net.eta, 6)
    0.625
    """
    net = LinearAttention(layers, d, n)
    if gamma not in ("optimal", 0.0) and eta == "optimal":
        raise FunctionError(f"got gamma={gamma} and eta='optimal'; give both numbers, or neither.")
    if eta == "optimal" and layers == 1 and gamma == 0.0 and points == "normal":
        eta = optimal_eta(d, n)
    if eta == "optimal" or gamma == "optimal":
        found = best_rates(layers, d, n, gamma == "optimal", points)
        eta = found[0] if eta == "optimal" else eta
        gamma = found[1] if gamma == "optimal" else gamma
    keys = torch.ones(d + 1, dtype=torch.float64)
    keys[-1] = 0.0
    values, out = torch.ones_like(keys), torch.full_like(keys, -gamma / n)
    values[-1], out[-1] = -1.0, eta / n
    with torch.no_grad():
        for matrix, diagonal in ((net.w_q, keys), (net.w_k, keys), (net.w_v, values), (net.p, out)):
            matrix.copy_(diagonal.diag())
    return net
