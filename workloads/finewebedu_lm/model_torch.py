"""The transformer in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.finewebedu_lm.architecture import QK_NORM_EPS, RMS_NORM_EPS, rotary_table
from workloads.layers_torch import ACTIVATIONS, Dense, DenseGeneral, Embed, RMSNorm


class Model(nn.Module):
    """Token ids ``[B, T] -> [B, T, vocabulary]`` logits."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.add_module("Embed_0", Embed(config["vocabulary"], config["features"]))
        self.blocks = [f"Block_{i}" for i in range(config["layers"])]
        for name in self.blocks:
            self.add_module(name, Block(config))
        self.add_module("RMSNorm_0", RMSNorm(config["features"], eps=RMS_NORM_EPS))
        cos, sin = map(torch.tensor, rotary_table(config["length"], config["features"] // config["heads"]))
        self.register_buffer("rotation", torch.complex(cos, sin), persistent=False)

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        ids = batch["inputs"]
        x = self.Embed_0(ids)
        rotation = self.rotation[: ids.shape[1]]
        for name in self.blocks:
            x = self.get_submodule(name)(x, rotation)
        return F.linear(self.RMSNorm_0(x), self.Embed_0.weight)


class Block(nn.Module):
    """Attention and gated MLP, each behind an RMSNorm and beside a residual path."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.add_module("RMSNorm_0", RMSNorm(config["features"], eps=RMS_NORM_EPS))
        self.add_module("Attention_0", Attention(config["features"], config["heads"]))
        self.add_module("RMSNorm_1", RMSNorm(config["features"], eps=RMS_NORM_EPS))
        self.add_module("MLP_0", GatedMLP(config["features"], config["hidden"], config["gate"]))

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        x = x + self.Attention_0(self.RMSNorm_0(x), rotation)
        return x + self.MLP_0(self.RMSNorm_1(x))


class Attention(nn.Module):
    """Causal attention with rotary positions, normalised queries and keys, and one learned scale of the logits."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        split = (heads, features // heads)
        self.attn_scale = nn.Parameter(torch.empty(()))
        for name in ("query", "key", "value"):
            self.add_module(name, DenseGeneral((features,), split))
        self.add_module("out", DenseGeneral(split, (features,)))

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        query = _unit(_rotated(self.query(x), rotation)) * self.attn_scale
        key = _unit(_rotated(self.key(x), rotation))
        heads_first = (tensor.transpose(1, 2) for tensor in (query, key, self.value(x)))
        mixed = F.scaled_dot_product_attention(*heads_first, is_causal=True, scale=1.0)
        return self.out(mixed.transpose(1, 2))


class GatedMLP(nn.Module):
    """``(a * gate(b)) W`` with ``a, b`` the halves of one Dense (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, features: int, hidden: int, gate: str) -> None:
        super().__init__()
        self.add_module("Dense_0", Dense(features, 2 * hidden, bias=False))
        self.add_module("Dense_1", Dense(hidden, features, bias=False))
        self.gate = ACTIVATIONS[gate]

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.Dense_0(x).chunk(2, dim=-1)
        return self.Dense_1(a * self.gate(b))


def _rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """``[B, T, heads, features]``, pairs of neighbouring features turned as complex numbers."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotation).flatten(-2)


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(dim=-1, keepdim=True) + QK_NORM_EPS**2)
