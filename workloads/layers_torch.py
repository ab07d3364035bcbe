"""Layers of the torch models.

The harness fills every parameter from its declared law, so none is initialised here: a model of any size builds
at once, on the meta device too. Each module that owns a kernel computes its layer's output before the activation, which
is what the harness's hooks record.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import nn


class Dense(nn.Linear):
    """``[..., in] -> [..., out]``."""

    def reset_parameters(self) -> None:
        pass


class Embed(nn.Embedding):
    """``[...] of ids -> [..., features]``."""

    def reset_parameters(self) -> None:
        pass

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        # The gradient of index_select costs half of embedding's on CPU.
        return self.weight.index_select(0, ids.flatten()).view(*ids.shape, -1)


class LayerNorm(nn.LayerNorm):
    def reset_parameters(self) -> None:
        pass


class RMSNorm(nn.RMSNorm):
    def reset_parameters(self) -> None:
        pass


class DenseGeneral(nn.Module):
    """``[..., *inputs] -> [..., *outputs]``; the weight is ``inputs + outputs``, the bias ``outputs``."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], bias: bool = False) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(torch.empty(inputs + outputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        matrix = self.weight.reshape(math.prod(self.inputs), math.prod(self.outputs))
        if self.bias is not None:
            flat = nn.functional.linear(x.flatten(-len(self.inputs)), matrix.T, self.bias.flatten())
            return flat.unflatten(-1, self.outputs)
        return (x.flatten(-len(self.inputs)) @ matrix).unflatten(-1, self.outputs)


ACTIVATIONS = {
    "gelu": functools.partial(nn.functional.gelu, approximate="tanh"),
    "relu": nn.functional.relu,
    "sigmoid": torch.sigmoid,
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
}
"""Activation functions by the name used in model configurations."""
