"""The recurrent network in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from workloads.layers_torch import ACTIVATIONS, Dense
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.librispeech_deepspeech.lstm_torch import BidirectionalLSTM, turned_rows
from workloads.speech.front_end import FrontEnd
from workloads.speech.layers_torch import Features, MaskedBatchNorm, OffsetLayerNorm, Subsample


class Normalised(nn.Module):
    """A layer's norm, under the name that says which."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        if a.norm == "batch":
            self.BatchNorm_0 = MaskedBatchNorm(a.width, a.decay)
        else:
            self.LayerNorm_0 = OffsetLayerNorm(a.width)
        self.by_batch = a.norm == "batch"

    def normalise(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.BatchNorm_0(x, mask) if self.by_batch else self.LayerNorm_0(x)


class Recurrent(Normalised):
    def __init__(self, a: Architecture) -> None:
        super().__init__(a)
        self.LSTM_0 = BidirectionalLSTM(a.width, a.width // 2)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, turned: torch.Tensor) -> torch.Tensor:
        return self.LSTM_0(self.normalise(x, mask), mask, turned)


class FeedForward(Normalised):
    def __init__(self, a: Architecture, activation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(a)
        self.activation = activation
        self.Dense_0 = Dense(a.width, a.width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, dropout_rate: float) -> torch.Tensor:
        x = self.activation(self.Dense_0(self.normalise(x, mask))) * mask
        return F.dropout(x, dropout_rate, self.training)


class Model(nn.Module):
    """A collated batch of B utterances -> logits ``[B, T, classes]`` and paddings ``[B, T]``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = a = Architecture.of(config)
        activation = ACTIVATIONS[a.activation]
        self.features = Features(FrontEnd.of(config))
        self.Subsample_0 = Subsample(a.bins, a.width, activation)
        for name in a.recurrent_layers:
            self.add_module(name, Recurrent(a))
        for name in a.feed_forward_layers:
            self.add_module(name, FeedForward(a, activation))
        if a.final_norm:
            self.LayerNorm_0 = OffsetLayerNorm(a.width)
        self.Dense_0 = Dense(a.width, a.classes)

    def forward(self, batch: Mapping[str, Any], dropout_rate: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
        a = self.architecture
        x, paddings = self.Subsample_0(*self.features(batch))
        x = F.dropout(x, dropout_rate, self.training)
        mask, turned = (1 - paddings)[..., None], turned_rows(paddings)
        for name in a.recurrent_layers:
            y = self.get_submodule(name)(x, mask, turned)
            x = x + y if a.residual else y
        for name in a.feed_forward_layers:
            y = self.get_submodule(name)(x, mask, dropout_rate)
            x = x + y if a.residual else y
        if a.final_norm:
            x = self.LayerNorm_0(x)
        return self.Dense_0(x), paddings
