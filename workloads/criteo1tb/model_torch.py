"""DLRM-small in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.criteo1tb.architecture import CATEGORIES, DENSE, LAYER_NORM_EPS, Architecture, triangle
from workloads.layers_torch import Dense, Embed, LayerNorm


class Model(nn.Module):
    """Rows ``[B, 39]`` (13 counts, 26 ids) -> logits ``[B, 1]``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = Architecture.of(config)
        for layer in self.architecture.bottom_layers():
            self._add_dense(*layer)
        self.add_module("Embed_0", Embed(config["vocabulary"], config["embedding"]))
        self._add_norm(self.architecture.norm_of_embedding, config["embedding"])
        for layer in self.architecture.top_layers():
            self._add_dense(*layer)
        self.register_buffer("triangle", torch.tensor(triangle()), persistent=False)

    def _add_dense(self, index: int, inputs: int, outputs: int) -> None:
        self.add_module(f"Dense_{index}", Dense(inputs, outputs))
        self._add_norm(self.architecture.norm_of_dense(index), outputs)

    def _add_norm(self, index: int | None, features: int) -> None:
        if index is not None:
            self.add_module(f"LayerNorm_{index}", LayerNorm(features, eps=LAYER_NORM_EPS))

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        a = self.architecture
        counts, ids = batch["inputs"].split((DENSE, CATEGORIES), dim=1)
        bottom = counts
        for index, _, _ in a.bottom_layers():
            bottom = self._hidden(index, bottom)
        embedded = self._normalised(a.norm_of_embedding, self.Embed_0(ids.long()))
        x = torch.cat((bottom, embedded.flatten(1) if a.residual else self._interactions(bottom, embedded)), dim=1)
        for index, _, _ in a.top_layers():
            if index < a.last:
                x = self._hidden(index, x, dropout_rate if index == a.last - 1 else 0.0)
        return self.get_submodule(f"Dense_{a.last}")(x)

    def _hidden(self, index: int, x: Tensor, dropout_rate: float = 0.0) -> Tensor:
        y = F.relu(self.get_submodule(f"Dense_{index}")(x))
        y = self._normalised(self.architecture.norm_of_dense(index), y)
        if dropout_rate:
            y = F.dropout(y, dropout_rate, self.training)
        return x + y if self.architecture.residual and x.shape == y.shape else y

    def _normalised(self, index: int | None, x: Tensor) -> Tensor:
        return x if index is None else self.get_submodule(f"LayerNorm_{index}")(x)

    def _interactions(self, bottom: Tensor, embedded: Tensor) -> Tensor:
        """Dot products of all pairs of the 27 feature vectors, ``[B, 378]``."""
        features = torch.cat((bottom.unsqueeze(1), embedded), dim=1)
        products = torch.bmm(features, features.transpose(1, 2))
        return products.flatten(1).index_select(1, self.triangle)
