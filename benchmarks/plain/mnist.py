from __future__ import annotations

from typing import Any

import optax
from flax import linen
from torch import nn
from torch.nn import functional as F


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 10))

    def forward(self, batch: Any) -> Any:
        return F.cross_entropy(self.layers(batch["inputs"]), batch["targets"])


class JaxModel(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = x.reshape(len(x), -1)
        return linen.Dense(10)(linen.sigmoid(linen.Dense(128)(x)))


def jax_model(workload: Any) -> Any:
    model = JaxModel()

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        logits = model.apply(params, batch["inputs"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"]).mean(), state

    return lambda key, batch: (model.init(key, batch["inputs"]), None), loss
