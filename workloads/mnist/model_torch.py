"""The perceptron in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from workloads.layers_torch import ACTIVATIONS, Dense


class Model(nn.Module):
    """Images ``[B, 28, 28, 1] -> [B, 10]`` logits."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.add_module("Dense_0", Dense(config["inputs"], config["hidden"]))
        self.add_module("Dense_1", Dense(config["hidden"], config["classes"]))
        self.activation = ACTIVATIONS[config["activation"]]

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        return self.Dense_1(self.activation(self.Dense_0(batch["inputs"].flatten(1))))
