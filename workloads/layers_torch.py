"""Layers of the torch models.

The harness fills every parameter from its declared law, so none is initialised here: a model of any size builds
at once, on the meta device too. Each module that owns a kernel computes its layer's output before the activation, which
is what the harness's hooks record.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from workloads.convolutions import Padding, paddings


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


class Conv(nn.Module):
    """``[B, in, *space] -> [B, out, *space]``; the weight is ``[out, in / groups, *window]``.

    ``padding`` is ``"SAME"`` as XLA has it, ``"VALID"``, or a number of entries on both sides of every axis.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        window: Sequence[int],
        *,
        stride: int = 1,
        padding: Padding = "SAME",
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = stride, padding, groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, *window))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.convolve = _CONVOLUTIONS[len(window)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads = paddings(x.shape[2:], self.weight.shape[2:], self.stride, self.padding)
        around = [before for before, _ in pads]
        if any(before != after for before, after in pads):
            x = F.pad(x, [side for pair in reversed(pads) for side in pair])
            around = [0] * len(pads)
        return self.convolve(x, self.weight, self.bias, self.stride, around, groups=self.groups)


_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d}


class BatchNorm(nn.Module):
    """Normalises each channel of ``[B, channels, *space]`` over all other axes (Ioffe & Szegedy 2015).

    In training the running statistics keep ``decay`` of their old values and take the rest from the batch, whose
    variance is unbiased there, as in torch's own kernel. ``momentum`` is torch's name for that rest; 0 freezes them.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, features: int, *, decay: float, eps: float) -> None:
        super().__init__()
        self.momentum, self.eps = 1.0 - decay, eps
        self.weight = nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )


ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functools.partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "tanh": torch.tanh,
}
"""Activation functions by the name used in model configurations."""


def overwriting(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """An activation for values that nobody else needs: in place where its gradient is found from its output alone."""
    return _IN_PLACE.get(name, ACTIVATIONS[name])


_IN_PLACE: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu_,
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
}
