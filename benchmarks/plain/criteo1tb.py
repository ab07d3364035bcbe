from __future__ import annotations

import itertools
from typing import Any

import jax.numpy as jnp
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F

COUNTS, FEATURES = 13, 27


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        self.embedding = nn.Embedding(config["vocabulary"], config["embedding"])
        self.bottom = perceptron(COUNTS, *config["bottom"])
        pairs = FEATURES * (FEATURES + 1) // 2
        *hidden, last = config["top"]
        self.top = nn.Sequential(perceptron(config["bottom"][-1] + pairs, *hidden), nn.Linear(hidden[-1], last))
        self.register_buffer("pairs", torch.stack(torch.triu_indices(FEATURES, FEATURES).unbind()))

    def forward(self, batch: Any) -> Any:
        counts, ids = batch["inputs"].split([COUNTS, FEATURES - 1], dim=1)
        bottom = self.bottom(counts)
        features = torch.cat([bottom[:, None], self.embedding(ids.long())], dim=1)
        products = torch.bmm(features, features.transpose(1, 2))
        interactions = products[:, self.pairs[0], self.pairs[1]]
        logits = self.top(torch.cat([bottom, interactions], dim=1))
        return F.binary_cross_entropy_with_logits(logits, batch["targets"])


def perceptron(*widths: int) -> nn.Sequential:
    layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*layers)


class JaxModel(linen.Module):
    vocabulary: int
    embedding: int
    bottom: tuple[int, ...]
    top: tuple[int, ...]

    @linen.compact
    def __call__(self, inputs: Any) -> Any:
        x = inputs[:, :COUNTS]
        for width in self.bottom:
            x = linen.relu(linen.Dense(width)(x))
        embedded = linen.Embed(self.vocabulary, self.embedding)(inputs[:, COUNTS:].astype(jnp.int32))
        features = jnp.concatenate([x[:, None], embedded], axis=1)
        products = jnp.einsum("bid,bjd->bij", features, features)
        rows, columns = jnp.triu_indices(FEATURES)
        x = jnp.concatenate([x, products[:, rows, columns]], axis=1)
        for width in self.top[:-1]:
            x = linen.relu(linen.Dense(width)(x))
        return linen.Dense(self.top[-1])(x)


def jax_model(workload: Any) -> Any:
    model = JaxModel(**{name: workload.model_config[name] for name in ("vocabulary", "embedding", "bottom", "top")})

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        logits = model.apply(params, batch["inputs"])
        return optax.sigmoid_binary_cross_entropy(logits, batch["targets"]).mean(), state

    return lambda key, batch: (model.init(key, batch["inputs"]), None), loss
