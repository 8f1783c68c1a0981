"""One block of the small net: attention and gated MLP, with a hook point at every site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_OF_ATTENTION = ("q", "k", "v", "z", "rot_q", "rot_k", "attn_scores", "attn_pattern")
_OF_BLOCK = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")


class _StackedProduct(torch.autograd.Function):
    """x · Wᵀ for every model. Its gradients are laid out as those of `F.linear`, so that they are the same sums."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = torch.bmm(gradients[0], weight) if ctx.needs_input_grad[0] else None
        return of_x, torch.bmm(gradients[0].transpose(1, 2), x) if ctx.needs_input_grad[1] else None


def product(x: Float[Tensor, "*row columns"], weight: Float[Tensor, "*model out columns"]) -> Float[Tensor, "*row out"]:
    """x · Wᵀ; with a model axis, the first axis of x is made of equal parts, one for each model."""
    if weight.ndim == 2:
        return F.linear(x, weight)
    by_model = x.reshape(len(weight), -1, x.shape[-1])
    return _StackedProduct.apply(by_model, weight).view(*x.shape[:-1], -1)  # type: ignore[union-attr]  # a tensor


def _of(weight: Tensor, models: Tensor | None) -> Tensor:
    return weight if models is None else weight[models]


class RMSNorm(nn.Module):
    """x / rms(x) · weight; in a stack every model has its own weight."""

    def __init__(self, width: int, eps: float, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(*lead, width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "row *position d"], models: Tensor | None = None) -> Tensor:
        """The normed states; with `models`, x holds the rows of these models only."""
        weight = _of(self.weight, models)
        if weight.ndim == 1:
            return F.rms_norm(x, (x.shape[-1],), weight, self.eps)
        plain = F.rms_norm(x, (x.shape[-1],), None, self.eps).view(len(weight), -1, x.shape[-1])
        return (plain * weight[:, None]).view(x.shape)


class Matrix(nn.Module):
    """A weight without bias, [*model, out, in]."""

    def __init__(self, out: int, width: int, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*lead, out, width))

    def forward(self, x: Tensor, models: Tensor | None = None) -> Tensor:
        """x · Wᵀ."""
        return product(x, _of(self.weight, models))


class Points(nn.ModuleDict):
    """TransformerLens' HookPoints by site; those without hooks cost nothing."""

    def __init__(self, sites: tuple[str, ...]) -> None:
        from transformer_lens.hook_points import HookPoint

        super().__init__({site: HookPoint() for site in sites})

    def watched(self, *sites: str) -> bool:
        """Whether there is a hook at any of the sites; of all of them where none is named."""
        points = (self._modules[site] for site in sites) if sites else self._modules.values()
        return any(point._forward_hooks or point._backward_hooks for point in points if point is not None)

    def see(self, site: str, x: Tensor) -> Tensor:
        """What the hooks of a site make of x."""
        return self[site](x) if self.watched(site) else x


class Attention(nn.Module):
    """Causal rotary attention. Scores and pattern are written out only where somebody looks at them."""

    def __init__(self, width: int, heads: int, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.heads, self.d_head = heads, width // heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (Matrix(width, width, lead) for _ in range(4))
        self.hooks = Points(_OF_ATTENTION)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, models: Tensor | None = None
    ) -> Float[Tensor, "row position d"]:
        """What attention adds, of normed states."""
        weight = torch.cat([_of(m.weight, models) for m in (self.q_proj, self.k_proj, self.v_proj)], -2)
        qkv = product(x, weight).view(*x.shape[:2], 3, self.heads, self.d_head)
        qk, v = qkv[:, :, :2], qkv[:, :, 2]
        qk, v = self._seen(qk, "q", "k"), self.hooks.see("v", v)
        half = self.d_head // 2
        turned = torch.cat((-qk[..., half:], qk[..., :half]), -1)
        rotated = self._seen(qk * cos + turned * sin, "rot_q", "rot_k")
        q, k = rotated.permute(2, 0, 3, 1, 4)
        if self.hooks.watched("attn_scores", "attn_pattern"):
            z = self._written_out(q, k, v.transpose(1, 2))
        else:
            z = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), is_causal=True)
        z = self.hooks.see("z", z.transpose(1, 2))
        return self.o_proj(z.reshape(x.shape), models)

    def _seen(self, pair: Float[Tensor, "row position 2 head d_head"], *names: str) -> Tensor:
        if not self.hooks.watched(*names):
            return pair
        return torch.stack([self.hooks[name](pair[:, :, n]) for n, name in enumerate(names)], 2)

    def _written_out(self, q: Tensor, k: Tensor, v: Tensor) -> Float[Tensor, "row head position d_head"]:
        scores = q @ k.transpose(-1, -2) / self.d_head**0.5
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = self.hooks["attn_scores"](scores.masked_fill(mask, float("-inf")))
        return self.hooks["attn_pattern"](scores.softmax(-1)) @ v

    def of_last(
        self, x: Float[Tensor, "row position d"], cos: Tensor, sin: Tensor, models: Tensor | None
    ) -> Float[Tensor, "row 1 d"]:
        """What attention adds at the last position, and nothing else computed."""
        weight = torch.cat([_of(m.weight, models) for m in (self.k_proj, self.v_proj)], -2)
        k, v = product(x, weight).view(*x.shape[:2], 2, self.heads, self.d_head).unbind(2)
        q = self.q_proj(x[:, -1:], models).view(len(x), 1, self.heads, self.d_head)
        half = self.d_head // 2
        cos, sin = cos[:, :, 0], sin[:, :, 0]
        q, k = (
            part * c + torch.cat((-part[..., half:], part[..., :half]), -1) * s
            for part, c, s in ((q, cos[:, -1:], sin[:, -1:]), (k, cos, sin))
        )
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        z = F.scaled_dot_product_attention(q, k, v)
        return self.o_proj(z.transpose(1, 2).reshape(len(x), 1, -1), models)


class MLP(nn.Module):
    """down(silu(gate(x)) · up(x))."""

    def __init__(self, width: int, inner: int, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (Matrix(inner, width, lead) for _ in range(2))
        self.down_proj = Matrix(width, inner, lead)

    def forward(self, x: Tensor, models: Tensor | None = None) -> Tensor:
        """What the MLP adds, of normed states."""
        return self.down_proj(F.silu(self.gate_proj(x, models)) * self.up_proj(x, models), models)


class Block(nn.Module):
    """Attention, then an MLP where `inner` is not 0. A block without MLP shows zeros at ``mlp_out``."""

    def __init__(self, width: int, heads: int, inner: int, eps: float, lead: tuple[int, ...]) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(width, eps, lead)
        self.self_attn = Attention(width, heads, lead)
        self.mlp: MLP | None = None
        if inner:
            self.post_attention_layernorm = RMSNorm(width, eps, lead)
            self.mlp = MLP(width, inner, lead)
        self.hooks = Points(_OF_BLOCK)

    def points(self) -> Iterator[tuple[str, str, nn.Module]]:
        """Hook points: the library's name of the site, TransformerLens' inside a block, the point."""
        yield from ((site, f"hook_{site}", point) for site, point in self.hooks.items())
        for site, point in self.self_attn.hooks.items():
            yield site, f"attn.hook_{'pattern' if site == 'attn_pattern' else site}", point

    def forward(
        self,
        x: Float[Tensor, "row position d"],
        cos: Tensor,
        sin: Tensor,
        last: bool = False,
        models: Tensor | None = None,
    ) -> Float[Tensor, "row computed d"]:
        """The next residual state.

        Args:
            x: states of the rows of all models of a stack, or of `models` only.
            last: only the last position is needed; nothing else is computed unless a hook of this block wants it.
        """
        see = self.hooks.see
        x = see("resid_pre", x)
        if last and not (self.hooks.watched() or self.self_attn.hooks.watched()):
            out, x = self.self_attn.of_last(self.input_layernorm(x, models), cos, sin, models), x[:, -1:]
        else:
            out = self.self_attn(self.input_layernorm(x, models), cos, sin, models)
        x = see("resid_mid", x + see("attn_out", out))
        if self.mlp is not None:
            x = x + see("mlp_out", self.mlp(self.post_attention_layernorm(x, models), models))
        elif self.hooks.watched("mlp_out"):
            x = x + self.hooks["mlp_out"](torch.zeros_like(x))
        return see("resid_post", x)
