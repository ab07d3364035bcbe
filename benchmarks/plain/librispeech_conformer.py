from __future__ import annotations

from typing import Any

import jax
import numpy as np
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F

from benchmarks.plain._speech import DROPOUT, JaxFront, TorchFront, jax_model_of, torch_loss

FRAMES = 64
"""At least as many as a batch has after the front."""


def positions(width: int) -> np.ndarray:
    waves = 1e-4 ** np.linspace(0, 1, width // 2)
    angles = np.outer(np.arange(FRAMES), waves)
    return np.hstack([np.sin(angles), np.cos(angles)]).astype(np.float32)


def torch_half(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, hidden),
        nn.SiLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(hidden, width),
        nn.Dropout(DROPOUT),
    )


class TorchBlock(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = torch_half(width, hidden), torch_half(width, hidden)
        self.attention_norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.scale, self.out = nn.Parameter(torch.zeros(width // heads)), nn.Linear(width, width)
        self.gate = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GLU())
        self.window = nn.Conv1d(width, width, window, padding=window // 2, groups=width, bias=False)
        self.batch_norm, self.last = nn.BatchNorm1d(width), nn.Linear(width, width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(DROPOUT)

    def attention(self, x: Any, keys: Any) -> Any:
        split = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query = split[0] * F.softplus(self.scale)
        found = F.scaled_dot_product_attention(query, split[1], split[2], keys)
        return self.dropout(self.out(found.transpose(1, 2).flatten(2)))

    def convolution(self, x: Any, mask: Any) -> Any:
        x = F.silu(self.batch_norm(self.window((self.gate(x) * mask).transpose(1, 2)))).transpose(1, 2)
        return self.dropout(self.last(x))

    def forward(self, x: Any, mask: Any, keys: Any) -> Any:
        x = x + 0.5 * self.first(x) * mask
        x = x + self.attention(x, keys)
        x = x + self.convolution(x, mask)
        return self.norm(x + 0.5 * self.second(x) * mask)


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        width = config["width"]
        self.front = TorchFront(config)
        self.register_buffer("positions", torch.from_numpy(positions(width)))
        sizes = width, config["heads"], config["expansion"] * width, config["window"]
        self.blocks = nn.ModuleList(TorchBlock(*sizes) for _ in range(config["layers"]))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, config["classes"])

    def forward(self, batch: Any) -> Any:
        x, real = self.front(batch)
        x = F.dropout(x + self.positions[: x.shape[1]], DROPOUT, self.training)
        for block in self.blocks:
            x = block(x, real[..., None], real[:, None, None])
        return torch_loss(self.head(self.norm(x)), real, batch)


class JaxAttention(linen.Module):
    heads: int

    @linen.compact
    def __call__(self, x: Any, keys: Any) -> Any:
        width = x.shape[-1]
        shape = (self.heads, width // self.heads)
        query, key, value = (linen.DenseGeneral(shape)(x) for _ in range(3))
        query = query * jax.nn.softplus(self.param("scale", linen.initializers.zeros, shape[1:]))
        found = linen.dot_product_attention(query, key, value, mask=keys)
        return linen.DenseGeneral(width, axis=(-2, -1))(found)


class JaxModel(linen.Module):
    config: Any

    @linen.compact
    def __call__(self, batch: Any, train: bool) -> Any:
        width = self.config["width"]
        x, real = JaxFront(self.config)(batch, train)
        x = self.dropout(x + positions(width)[: x.shape[1]], train)
        mask, keys = real[..., None], real[:, None, None]
        for _ in range(self.config["layers"]):
            x = x + 0.5 * self.half(x, train) * mask
            x = x + self.dropout(JaxAttention(self.config["heads"])(linen.LayerNorm()(x), keys), train)
            x = x + self.convolution(x, mask, train)
            x = linen.LayerNorm()(x + 0.5 * self.half(x, train) * mask)
        return linen.Dense(self.config["classes"])(linen.LayerNorm()(x)), real

    def dropout(self, x: Any, train: bool) -> Any:
        return linen.Dropout(DROPOUT, deterministic=not train)(x)

    def half(self, x: Any, train: bool) -> Any:
        width = self.config["width"]
        x = linen.silu(linen.Dense(self.config["expansion"] * width)(linen.LayerNorm()(x)))
        return self.dropout(linen.Dense(width)(self.dropout(x, train)), train)

    def convolution(self, x: Any, mask: Any, train: bool) -> Any:
        width = self.config["width"]
        x = linen.glu(linen.Dense(2 * width)(linen.LayerNorm()(x))) * mask
        x = linen.Conv(width, (self.config["window"],), feature_group_count=width, use_bias=False)(x)
        x = linen.silu(linen.BatchNorm(use_running_average=not train)(x, mask=mask) * mask)
        return self.dropout(linen.Dense(width)(x), train)


def jax_model(workload: Any) -> Any:
    return jax_model_of(JaxModel(workload.model_config))
