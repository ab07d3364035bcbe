"""What the network is made of, for its declaration and for both frameworks (Amodei et al. 2016, arXiv 1512.02595)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from harness.spec import Parameter, Statistic
from workloads.declared import dense
from workloads.init_laws import lecun_normal, orthogonal, xavier_uniform
from workloads.speech import declared as speech

DIRECTIONS = ("Forward", "Backward")
INPUT_KERNELS = ("ii", "if", "ig", "io")
RECURRENT_KERNELS = ("hi", "hf", "hg", "ho")
"""Kernels of the gates of an LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000), by flax's names: from
the input or the hidden state to the input, forget and output gates and to what enters the cell (``g``)."""


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Widths, depths and switches.

    Attributes:
      bins: mel bins that enter.
      width: features everywhere between the subsampling and the logits; an LSTM has half of them per direction.
      recurrent: number of recurrent layers.
      feed_forward: number of Dense layers after them.
      classes: logits per frame, with the blank.
      activation: name of the function after convolutions and Dense layers.
      residual: whether layers add to their input.
      norm: ``batch``: masked batch norm before each layer and a layer norm at the end; ``layer``: a layer norm before
        each layer and none at the end.
      decay: how much of the running statistics is kept per step.
    """

    bins: int
    width: int
    recurrent: int
    feed_forward: int
    classes: int
    activation: str
    residual: bool
    norm: str
    decay: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        return cls(
            config["front_end"]["bins"],
            config["width"],
            config["recurrent"],
            config["feed_forward"],
            config["classes"],
            config["activation"],
            config["residual"],
            config["norm"],
            config["statistics_decay"],
        )

    @property
    def final_norm(self) -> bool:
        return self.norm == "batch"

    @property
    def recurrent_layers(self) -> list[str]:
        return [f"Recurrent_{i}" for i in range(self.recurrent)]

    @property
    def feed_forward_layers(self) -> list[str]:
        return [f"FeedForward_{i}" for i in range(self.feed_forward)]

    def parameters(self) -> Iterator[Parameter]:
        yield from speech.subsample("Subsample_0", self.bins, self.width)
        for layer in self.recurrent_layers:
            yield from self._norm(layer)
            yield from bidirectional_lstm(f"{layer}.LSTM_0", self.width, self.width // 2)
        for layer in self.feed_forward_layers:
            yield from self._norm(layer)
            yield from dense(f"{layer}.Dense_0", self.width, self.width, xavier_uniform)
        if self.final_norm:
            yield from speech.layer_norm("LayerNorm_0", self.width)
        yield from dense("Dense_0", self.width, self.classes, xavier_uniform, is_output=True)

    def _norm(self, layer: str) -> Iterator[Parameter]:
        if self.norm == "batch":
            return speech.batch_norm(f"{layer}.BatchNorm_0", self.width)
        return speech.layer_norm(f"{layer}.LayerNorm_0", self.width)

    def statistics(self) -> Iterator[Statistic]:
        if self.norm == "batch":
            for layer in (*self.recurrent_layers, *self.feed_forward_layers):
                yield from speech.running(f"{layer}.BatchNorm_0", self.width)


def bidirectional_lstm(name: str, inputs: int, features: int) -> Iterator[Parameter]:
    """Per direction four kernels ``(inputs, features)`` without bias and four ``(features, features)`` with a bias."""
    for direction in DIRECTIONS:
        for kernel in INPUT_KERNELS:
            yield from dense(f"{name}.{direction}.{kernel}", inputs, features, lecun_normal(), bias_law=None)
        for kernel in RECURRENT_KERNELS:
            yield from dense(f"{name}.{direction}.{kernel}", features, features, orthogonal)
