from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F


def positions(side: int, width: int) -> np.ndarray:
    waves = 1e-4 ** np.linspace(0, 1, width // 4)
    row, column = (np.outer(axis.ravel(), waves) for axis in np.mgrid[:side, :side])
    return np.hstack([np.sin(column), np.cos(column), np.sin(row), np.cos(row)]).astype(np.float32)


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        width, patch = config["width"], config["patch"]
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.register_buffer("positions", torch.from_numpy(positions(config["side"] // patch, width)))
        block = functools.partial(nn.TransformerEncoderLayer, batch_first=True, norm_first=True, dropout=0.0)
        gelu = nn.GELU("tanh")
        self.blocks = nn.Sequential(
            *(block(width, config["heads"], config["hidden"], activation=gelu) for _ in range(config["depth"]))
        )
        head = nn.Linear(width, config["classes"])
        nn.init.zeros_(head.weight)
        self.norm, self.top = nn.LayerNorm(width), nn.Sequential(nn.Linear(width, width), nn.Tanh(), head)

    def forward(self, batch: Any) -> Any:
        x = self.patches(batch["inputs"].permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        x = self.norm(self.blocks(x + self.positions))
        return F.cross_entropy(self.top(x.mean(1)), batch["targets"])


class JaxModel(linen.Module):
    side: int
    patch: int
    width: int
    depth: int
    heads: int
    hidden: int
    classes: int

    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.Conv(self.width, (self.patch, self.patch), self.patch, padding="VALID")(x)
        x = x.reshape(len(x), -1, self.width) + positions(self.side // self.patch, self.width)
        for _ in range(self.depth):
            x = x + linen.MultiHeadDotProductAttention(self.heads)(linen.LayerNorm()(x))
            x = x + linen.Dense(self.width)(linen.gelu(linen.Dense(self.hidden)(linen.LayerNorm()(x))))
        x = linen.tanh(linen.Dense(self.width)(linen.LayerNorm()(x).mean(1)))
        return linen.Dense(self.classes, kernel_init=linen.initializers.zeros)(x)


def jax_model(workload: Any) -> Any:
    names = ("side", "patch", "width", "depth", "heads", "hidden", "classes")
    model = JaxModel(**{name: workload.model_config[name] for name in names})

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        logits, targets = model.apply(params, batch["inputs"]), batch["targets"]
        targets = jax.nn.one_hot(targets, model.classes) if targets.ndim == 1 else targets
        return optax.softmax_cross_entropy(logits, targets).mean(), state

    return lambda key, batch: (model.init(key, batch["inputs"]), None), loss
