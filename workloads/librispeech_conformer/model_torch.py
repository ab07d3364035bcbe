"""The conformer in torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.attention_torch import MultiHeadAttention, additive_mask, attend
from workloads.layers_torch import ACTIVATIONS, Dense
from workloads.librispeech_conformer.architecture import QUERY_SCALE, Architecture, positions
from workloads.speech.layers_torch import ChannelsLast, Features, MaskedBatchNorm, OffsetLayerNorm, Subsample


class Model(nn.Module):
    """A batch (see ``speech.batches``) -> logits ``[B, T, classes]`` and their paddings ``[B, T]``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        a = self.architecture = Architecture.of(config)
        self.features = Features(a.front_end)
        self.Subsample_0 = Subsample(a.front_end.bins, a.width, F.relu)
        for name in a.blocks:
            self.add_module(name, Block(a))
        self.LayerNorm_0 = OffsetLayerNorm(a.width)
        self.Dense_0 = Dense(a.width, a.classes)

    def forward(self, batch: Mapping[str, Any], dropout_rate: float) -> tuple[Tensor, Tensor]:
        x, paddings = self.Subsample_0(*self.features(batch))
        x = _dropout(x + _positions(*x.shape[1:], x.dtype, x.device), dropout_rate, self.training)
        mask = (1 - paddings)[..., None]
        keys = additive_mask(paddings[:, None, None] == 0, x.dtype)
        for name in self.architecture.blocks:
            x = self.get_submodule(name)(x, mask, keys, dropout_rate)
        return self.Dense_0(self.LayerNorm_0(x)), paddings


class Block(nn.Module):
    """Half a feed-forward step, attention, convolution and the other half, each added to its input."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.FeedForward_0 = FeedForward(a)
        self.SelfAttention_0 = SelfAttention(a)
        self.Convolution_0 = Convolution(a)
        self.FeedForward_1 = FeedForward(a)
        self.LayerNorm_0 = OffsetLayerNorm(a.width) if a.post_layer_norm else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor, keys: Tensor, dropout_rate: float) -> Tensor:
        x = x + 0.5 * self.FeedForward_0(x, mask, dropout_rate)
        x = x + self.SelfAttention_0(x, keys, dropout_rate)
        x = x + self.Convolution_0(x, mask, dropout_rate)
        x = x + 0.5 * self.FeedForward_1(x, mask, dropout_rate)
        return self.LayerNorm_0(x)


class FeedForward(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[a.activation]
        self.LayerNorm_0 = OffsetLayerNorm(a.width)
        self.Dense_0, self.Dense_1 = Dense(a.width, a.expansion * a.width), Dense(a.expansion * a.width, a.width)

    def forward(self, x: Tensor, mask: Tensor, dropout_rate: float) -> Tensor:
        x = self.activation(self.Dense_0(self.LayerNorm_0(x)))
        x = self.Dense_1(_dropout(x, dropout_rate, self.training)) * mask
        return _dropout(x, dropout_rate, self.training)


class SelfAttention(nn.Module):
    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.LayerNorm_0 = OffsetLayerNorm(a.width)
        self.Attention_0 = Attention(a)

    def forward(self, x: Tensor, keys: Tensor, dropout_rate: float) -> Tensor:
        return _dropout(self.Attention_0(self.LayerNorm_0(x), keys), dropout_rate, self.training)


class Attention(MultiHeadAttention):
    """Attention over ``x`` itself, with a learned factor per feature of the queries, and one for what is found."""

    def __init__(self, a: Architecture) -> None:
        super().__init__(a.width, a.heads, bias=True)
        self.QueryScale_0 = QueryScale(a.width // a.heads)
        self.temperature = a.attention_temperature

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:  # type: ignore[override]
        found = attend(self.QueryScale_0(self.query(x)), self.key(x), self.value(x), keys)
        return self.out(found * self.temperature)


class QueryScale(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features))

    def forward(self, query: Tensor) -> Tensor:
        return query * (F.softplus(self.weight) * QUERY_SCALE)


class Convolution(nn.Module):
    """A gate, a window per feature, masked batch normalisation."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[a.activation]
        self.LayerNorm_0 = OffsetLayerNorm(a.width)
        self.Dense_0, self.Dense_1 = Dense(a.width, a.width), Dense(a.width, a.width)
        self.Conv_0 = ChannelsLast(a.width, a.width, (a.window,), groups=a.width, bias=False)
        self.BatchNorm_0 = MaskedBatchNorm(a.width, a.statistics_decay)
        self.Dense_2 = Dense(a.width, a.width)

    def forward(self, x: Tensor, mask: Tensor, dropout_rate: float) -> Tensor:
        x = self.LayerNorm_0(x)
        x = self.Dense_0(x) * torch.sigmoid(self.Dense_1(x)) * mask
        x = self.activation(self.BatchNorm_0(self.Conv_0(x), mask))
        return _dropout(self.Dense_2(x), dropout_rate, self.training)


def _dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    return F.dropout(x, rate, training) if rate else x


@functools.lru_cache(maxsize=8)
def _positions(length: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.as_tensor(positions(length, width), dtype=dtype, device=device)
