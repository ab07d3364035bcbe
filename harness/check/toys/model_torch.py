"""The toy net in torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from harness.check.toys.workload import PER_FRAME
from workloads.layers_torch import BatchNorm, Dense, DenseGeneral, Embed, LayerNorm


class Conv(nn.Conv2d):
    def reset_parameters(self) -> None:
        pass


class Attention(nn.Module):
    """``[B, T, features]`` to the same, over all positions."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        split = (heads, features // heads)
        self.query, self.key, self.value = (DenseGeneral((features,), split) for _ in range(3))
        self.out = DenseGeneral(split, (features,))

    def forward(self, x: Tensor) -> Tensor:
        heads_first = (layer(x).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return self.out(F.scaled_dot_product_attention(*heads_first).transpose(1, 2))


class Model(nn.Module):
    """Tokens ``[B, T]``, images ``[B, T, width, 3]`` or a pair of sound ``[B, T * samples]`` and its paddings to
    logits: ``[B, outputs]`` pooled; ``[B, T]`` for one output per token; or a pair of ``[B, T, outputs]`` and its
    paddings."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        features, window = config["features"], config["window"]
        self.config = config
        if config["inputs"] == "tokens":
            self.Embed_0 = Embed(config["vocabulary"], features)
        else:
            self.Stem = Dense(math.prod(PER_FRAME[config["inputs"]]), features, bias=False)
        if config["inputs"] == "image":
            self.BatchNorm_0 = BatchNorm(features, decay=0.9, eps=1e-5)
        self.Conv_0 = Conv(features, features, (window, 1), padding="same")
        self.LayerNorm_0 = LayerNorm(features, eps=1e-6)
        self.MultiHeadDotProductAttention_0 = Attention(features, config["heads"])
        self.Dense_0 = Dense(features, config["hidden"])
        self.Dense_1 = Dense(config["hidden"], config["outputs"])

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Any:
        x, paddings = self._first(batch["inputs"])
        x = x + F.relu(self.Conv_0(x.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2))
        x = x + self.MultiHeadDotProductAttention_0(self.LayerNorm_0(x))
        x = F.dropout(x, float(dropout_rate), self.training)
        if self.config["pooled"]:
            x = x.mean(1)
        x = self.Dense_1(F.relu(self.Dense_0(x)))
        if self.config["pooled"]:
            return x
        return x.squeeze(-1) if self.config["outputs"] == 1 else (x, paddings)

    def _first(self, inputs: Any) -> tuple[Tensor, Any]:
        """Features ``[B, T, features]``, and the paddings ``[B, T]`` of sound."""
        values, paddings = inputs if isinstance(inputs, tuple | list) else (inputs, None)
        if self.config["inputs"] == "tokens":
            return self.Embed_0(values), None
        x = self.Stem(values.reshape(len(values), self.config["length"], -1))
        if self.config["inputs"] == "image":
            x = self.BatchNorm_0(x.transpose(1, 2)).transpose(1, 2)
        return x, None if paddings is None else paddings[:, :: PER_FRAME["sound"][0]]
