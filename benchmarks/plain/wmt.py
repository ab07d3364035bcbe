from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F

RATE = 0.1


def waves(length: int, width: int) -> np.ndarray:
    frequencies = 10_000.0 ** -(np.arange(width // 2) / (width // 2 - 1))
    angles = np.outer(np.arange(length), frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        sizes = config["features"], config["heads"], config["hidden"]
        self.embedding = nn.Embedding(config["vocabulary"], config["features"])
        self.encoder = nn.ModuleList(TorchLayer(*sizes, attentions=1) for _ in range(config["layers"]))
        self.decoder = nn.ModuleList(TorchLayer(*sizes, attentions=2) for _ in range(config["layers"]))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(config["features"]), nn.LayerNorm(config["features"])
        self.dropout = nn.Dropout(RATE)
        self.register_buffer("waves", torch.from_numpy(waves(config["length"], config["features"])))

    def forward(self, batch: Any) -> Any:
        source, targets = batch["inputs"], batch["targets"]
        hidden = source == 0
        x = self.embed(source)
        for layer in self.encoder:
            x = layer(x, hidden)
        memory = self.encoder_norm(x)
        causal = torch.ones(targets.shape[1], targets.shape[1], dtype=torch.bool).triu(1)
        x = self.embed(F.pad(targets[:, :-1], (1, 0)))
        for layer in self.decoder:
            x = layer(x, None, causal, memory, hidden)
        logits = F.linear(self.decoder_norm(x), self.embedding.weight) / x.shape[-1] ** 0.5
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0)

    def embed(self, ids: Any) -> Any:
        return self.dropout(self.embedding(ids) + self.waves[: ids.shape[1]])


class TorchLayer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, attentions: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(attentions + 1))
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(width, heads, bias=False, batch_first=True) for _ in range(attentions)
        )
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(RATE)

    def forward(self, x: Any, hidden: Any, mask: Any = None, memory: Any = None, memory_hidden: Any = None) -> Any:
        y = self.norms[0](x)
        y, _ = self.attentions[0](y, y, y, key_padding_mask=hidden, attn_mask=mask, need_weights=False)
        x = x + self.dropout(y)
        if memory is not None:
            y = self.norms[1](x)
            y, _ = self.attentions[1](y, memory, memory, key_padding_mask=memory_hidden, need_weights=False)
            x = x + self.dropout(y)
        return x + self.dropout(self.down(self.dropout(F.relu(self.up(self.norms[-1](x))))))


class JaxModel(linen.Module):
    vocabulary: int
    features: int
    heads: int
    layers: int
    hidden: int

    @linen.compact
    def __call__(self, source: Any, targets: Any) -> Any:
        table = linen.Embed(self.vocabulary, self.features, embedding_init=linen.initializers.normal(1.0))

        def embed(ids: Any) -> Any:
            x = table(ids) + waves(ids.shape[1], self.features)
            return linen.Dropout(RATE, deterministic=False)(x)

        x, mask = embed(source), linen.make_attention_mask(source > 0, source > 0)
        for _ in range(self.layers):
            x = JaxLayer(self.heads, self.hidden)(x, mask)
        memory, mask = linen.LayerNorm()(x), linen.make_attention_mask(targets > 0, source > 0)
        x = embed(jnp.pad(targets[:, :-1], ((0, 0), (1, 0))))
        for _ in range(self.layers):
            x = JaxLayer(self.heads, self.hidden)(x, linen.make_causal_mask(targets), memory, mask)
        return table.attend(linen.LayerNorm()(x)) / self.features**0.5


class JaxLayer(linen.Module):
    heads: int
    hidden: int

    @linen.compact
    def __call__(self, x: Any, mask: Any, memory: Any = None, memory_mask: Any = None) -> Any:
        def dropped(x: Any) -> Any:
            return linen.Dropout(RATE, deterministic=False)(x)

        y = linen.LayerNorm()(x)
        x = x + dropped(linen.MultiHeadDotProductAttention(self.heads, use_bias=False)(y, y, mask=mask))
        if memory is not None:
            y = linen.LayerNorm()(x)
            attention = linen.MultiHeadDotProductAttention(self.heads, use_bias=False)
            x = x + dropped(attention(y, memory, mask=memory_mask))
        y = dropped(linen.relu(linen.Dense(self.hidden)(linen.LayerNorm()(x))))
        return x + dropped(linen.Dense(x.shape[-1])(y))


def jax_model(workload: Any) -> Any:
    names = ("vocabulary", "features", "heads", "layers", "hidden")
    model = JaxModel(**{name: workload.model_config[name] for name in names})

    def init(key: Any, batch: Any) -> Any:
        return model.init({"params": key, "dropout": key}, batch["inputs"], batch["targets"]), None

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        logits = model.apply(params, batch["inputs"], batch["targets"], rngs={"dropout": key})
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
        weights = batch["targets"] > 0
        return (losses * weights).sum() / weights.sum(), state

    return init, loss
