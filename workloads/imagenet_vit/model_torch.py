"""The vision transformer in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.attention_torch import MultiHeadAttention
from workloads.imagenet_vit.architecture import CHANNELS, LAYER_NORM_EPS, Architecture, position_table
from workloads.layers_torch import ACTIVATIONS, Dense, LayerNorm


class Model(nn.Module):
    """Pictures ``[B, side, side, 3] -> [B, classes]`` logits."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = a = Architecture.of(config)
        self.add_module("Conv_0", Patches(a.patch, a.width))
        for name in a.blocks:
            self.add_module(name, Block(a))
        if not a.post_ln:
            self.add_module("LayerNorm_0", LayerNorm(a.width, eps=LAYER_NORM_EPS))
        if a.map_head:
            self.add_module("MAPHead_0", MAPHead(a))
        self.add_module("Dense_0", Dense(a.width, a.width))
        self.add_module("Dense_1", Dense(a.width, a.classes))
        self.register_buffer("positions", torch.tensor(position_table(a.grid, a.width)), persistent=False)

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        a = self.architecture
        x = _dropped(self, self.Conv_0(batch["inputs"]) + self.positions, dropout_rate)
        for name in a.blocks:
            x = self.get_submodule(name)(x, dropout_rate)
        if not a.post_ln:
            x = self.LayerNorm_0(x)
        x = self.MAPHead_0(x, dropout_rate) if a.map_head else x.mean(1)
        return self.Dense_1(torch.tanh(self.Dense_0(x)))


class Patches(nn.Module):
    """``[B, side, side, 3] -> [B, patches, width]``: a convolution without overlaps, as a matrix product.

    The weight is a convolution's, ``[width, 3, patch, patch]``.
    """

    channels_last = True

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        self.weight = nn.Parameter(torch.empty(width, CHANNELS, patch, patch))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, pictures: Tensor) -> Tensor:
        rows = pictures.unflatten(2, (-1, self.patch)).unflatten(1, (-1, self.patch))  # [B, row, y, column, x, 3]
        patches = rows.permute(0, 1, 3, 5, 2, 4).flatten(3).flatten(1, 2)
        return F.linear(patches, self.weight.flatten(1), self.bias)


class Block(nn.Module):
    """Attention and MLP, each beside a residual path."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.post_ln = a.post_ln
        self.add_module("LayerNorm_0", LayerNorm(a.width, eps=LAYER_NORM_EPS))
        self.add_module("Attention_0", MultiHeadAttention(a.width, a.heads, bias=True))
        self.add_module("LayerNorm_1", LayerNorm(a.width, eps=LAYER_NORM_EPS))
        self.add_module("MLP_0", MLP(a))

    def forward(self, x: Tensor, dropout_rate: float) -> Tensor:
        if self.post_ln:
            x = self.LayerNorm_0(x + self._attended(x, dropout_rate))
            return self.LayerNorm_1(x + self._transformed(x, dropout_rate))
        x = x + self._attended(self.LayerNorm_0(x), dropout_rate)
        return x + self._transformed(self.LayerNorm_1(x), dropout_rate)

    def _attended(self, x: Tensor, dropout_rate: float) -> Tensor:
        return _dropped(self, self.Attention_0(x), dropout_rate)

    def _transformed(self, x: Tensor, dropout_rate: float) -> Tensor:
        return _dropped(self, self.MLP_0(x, dropout_rate), dropout_rate)


class MLP(nn.Module):
    """Dense, GELU, an optional gate, dropout, Dense."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.glu = a.glu
        self.add_module("Dense_0", Dense(a.width, a.hidden))
        if a.glu:
            self.add_module("Dense_1", Dense(a.hidden, a.hidden))
        self.add_module("Dense_2" if a.glu else "Dense_1", Dense(a.hidden, a.width))

    def forward(self, x: Tensor, dropout_rate: float) -> Tensor:
        x = ACTIVATIONS["gelu"](self.Dense_0(x))
        if self.glu:
            return self.Dense_2(_dropped(self, x * self.Dense_1(x), dropout_rate))
        return self.Dense_1(_dropped(self, x, dropout_rate))


class MAPHead(nn.Module):
    """``[B, patches, width] -> [B, width]``: a learned query attends to the tokens (Lee et al. 2019, 1810.00825)."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.empty(1, 1, a.width))
        self.add_module("Attention_0", MultiHeadAttention(a.width, a.heads, bias=True))
        self.add_module("LayerNorm_0", LayerNorm(a.width, eps=LAYER_NORM_EPS))
        self.add_module("MLP_0", MLP(a))

    def forward(self, tokens: Tensor, dropout_rate: float) -> Tensor:
        x = self.Attention_0(self.probe.expand(len(tokens), 1, -1), tokens)[:, 0]
        return x + self.MLP_0(self.LayerNorm_0(x), dropout_rate)


def _dropped(module: nn.Module, x: Tensor, rate: float) -> Tensor:
    return F.dropout(x, rate, module.training) if rate else x
