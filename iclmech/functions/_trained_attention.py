"""Linear attention that is trained: what it arrives at can be held against the construction."""

from __future__ import annotations

from typing import Literal

import torch

from iclmech._base import rng

from ._linear import LinearRegression
from ._linear_attention import LinearAttention

_INITIAL = 0.1
_AT_ONCE = 50  # steps whose prompts are drawn together


def train_linear_attention(
    layers: int = 1,
    d: int = 5,
    n: int = 10,
    points: Literal["normal", "uniform"] | None = None,
    seed: int = 0,
    steps: int | None = None,
    batch: int | None = None,
) -> LinearAttention:
    """Train linear attention (shared layers) on noiseless linear regression, from N(0, 0.1²), with Adam on fresh prompts.

    One layer: 1500 steps of 512 prompts, learning rate 0.005. More: 2500 of 256, 0.01, gradients clipped to norm 0.001, and
    uniform inputs by default, because with normal ones their tails keep deep linear attention from training. The rate
    falls to 0 over the second half.

    Args:
        layers: how many.
        d: length of x.
        n: pairs behind which one point is asked.
        points: "normal" or "uniform" inputs.
        seed: of weights and prompts.
        steps: in place of the number above.
        batch: prompts in a step, likewise.

    Returns:
        The trained module; its `eta` is the learning rate that it has found.

    Source: von Oswald et al., arXiv 2212.07677.

    >>> import iclmech as icl
    >>> type(icl.functions.train_linear_attention(steps=2, batch=4)).__name__
    'LinearAttention'
    """
    deep = layers > 1
    family = LinearRegression(d=d, noise=0.0, points=points or ("uniform" if deep else "normal"))
    steps, batch, rate = steps or (2500 if deep else 1500), batch or (256 if deep else 512), 0.01 if deep else 0.005
    net = LinearAttention(layers, d, n)
    generator = rng(seed, "functions: linear attention")
    with torch.no_grad():
        for matrix in net.parameters():
            matrix.copy_(_INITIAL * torch.randn(matrix.shape, generator=generator, dtype=torch.float64))
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        if step % _AT_ONCE == 0:
            drawn = family.draw(batch * min(_AT_ONCE, steps - step), n + 1, generator)
            pieces = zip(drawn.x.split(batch), drawn.y.split(batch), strict=True)
        x, y = next(pieces)
        loss = (net(x[:, :n], y[:, :n], x[:, n:]) - y[:, n:]).square().mean() / d
        optimizer.zero_grad()
        loss.backward()
        if deep:
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.001)
        optimizer.step()
    return net
