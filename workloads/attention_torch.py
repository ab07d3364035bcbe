"""Attention in torch; ``attention_jax`` computes the same."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from workloads.declared import MASKED
from workloads.layers_torch import DenseGeneral


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """``attention_jax.attend`` by torch's fused kernel: same arguments, shapes and values."""
    heads_first = (tensor.transpose(1, 2) for tensor in (query, key, value))
    return F.scaled_dot_product_attention(*heads_first, attn_mask=mask, scale=scale).transpose(1, 2)


def additive_mask(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where a query may look at a key, ``declared.MASKED`` elsewhere; make it once, and give it to every layer."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, MASKED)


class MultiHeadAttention(nn.Module):
    """Attention of ``x [B, T, features]`` over ``memory [B, S, features]`` (itself by default), with the projections
    that ``declared.attention`` declares. ``mask`` and ``scale`` as in ``attend``."""

    def __init__(self, features: int, heads: int, bias: bool) -> None:
        super().__init__()
        split = (heads, features // heads)
        for name in ("query", "key", "value"):
            self.add_module(name, DenseGeneral((features,), split, bias))
        self.add_module("out", DenseGeneral(split, (features,), bias))

    def forward(
        self,
        x: torch.Tensor,
        memory: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        scale: float | None = None,
    ) -> torch.Tensor:
        memory = x if memory is None else memory
        return self.out(attend(self.query(x), self.key(memory), self.value(memory), mask, scale))
