from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F

THETA = 500_000.0


def angles(length: int, features: int) -> np.ndarray:
    return np.outer(np.arange(length), THETA ** -(np.arange(0, features, 2) / features)).astype(np.float32)


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        width, heads, length = config["features"], config["heads"], config["length"]
        self.embedding = nn.Embedding(config["vocabulary"], width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(TorchBlock(width, heads, config["hidden"]) for _ in range(config["layers"]))
        self.norm = nn.RMSNorm(width)
        turns = torch.from_numpy(angles(length, width // heads))
        self.register_buffer("turns", torch.polar(torch.ones_like(turns), turns)[:, None])

    def forward(self, batch: Any) -> Any:
        x = self.embedding(batch["inputs"])
        for block in self.blocks:
            x = block(x, self.turns)
        logits = F.linear(self.norm(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten())


class TorchBlock(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.scale = nn.Parameter(torch.tensor(14.0))
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Any, turns: Any) -> Any:
        query, key, value = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        query, key = (F.normalize(turned(part, turns), dim=-1) for part in (query, key))
        parts = (part.transpose(1, 2) for part in (query * self.scale, key, value))
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True, scale=1.0)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.glu(self.up(self.norm2(x))))


def turned(x: Any, turns: Any) -> Any:
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2)


class JaxModel(linen.Module):
    vocabulary: int
    features: int
    heads: int
    layers: int
    hidden: int

    @linen.compact
    def __call__(self, ids: Any) -> Any:
        table = linen.Embed(self.vocabulary, self.features, embedding_init=linen.initializers.normal(0.02))
        x = table(ids)
        for _ in range(self.layers):
            x = JaxBlock(self.heads, self.hidden)(x)
        return table.attend(linen.RMSNorm()(x))


class JaxBlock(linen.Module):
    heads: int
    hidden: int

    @linen.compact
    def __call__(self, x: Any) -> Any:
        width, length = x.shape[-1], x.shape[1]
        split = functools.partial(linen.DenseGeneral, (self.heads, width // self.heads), use_bias=False)
        y = linen.RMSNorm()(x)
        query, key, value = (split(name=name)(y) for name in ("query", "key", "value"))
        turns = angles(length, width // self.heads)[:, None]
        query, key = (unit(rotated(part, jnp.cos(turns), jnp.sin(turns))) for part in (query, key))
        scale = self.param("scale", linen.initializers.constant(14.0), ())
        logits = jnp.einsum("bqhd,bkhd->bhqk", query * scale, key)
        logits = jnp.where(jnp.tri(length, dtype=bool), logits, -jnp.inf)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(logits), value)
        x = x + linen.DenseGeneral(width, axis=(-2, -1), use_bias=False, name="out")(mixed)
        y = linen.Dense(2 * self.hidden, use_bias=False)(linen.RMSNorm()(x))
        return x + linen.Dense(width, use_bias=False)(linen.glu(y))


def rotated(x: Any, cos: Any, sin: Any) -> Any:
    even, odd = x[..., ::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def unit(x: Any) -> Any:
    return x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-6)


def jax_model(workload: Any) -> Any:
    names = ("vocabulary", "features", "heads", "layers", "hidden")
    model = JaxModel(**{name: workload.model_config[name] for name in names})

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        logits = model.apply(params, batch["inputs"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"]).mean(), state

    return lambda key, batch: (model.init(key, batch["inputs"]), None), loss
