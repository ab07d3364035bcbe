"""The U-Net in torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workloads.fastmri.architecture import INSTANCE_NORM_EPS, LAYER_NORM_EPS, LEAK, OUTPUT, Architecture, Block
from workloads.layers_torch import ACTIVATIONS, Conv

Activation = Callable[[Tensor], Tensor]
_ACTIVATIONS: Mapping[str, Activation] = {
    **ACTIVATIONS,
    "leaky_relu": functools.partial(F.leaky_relu, negative_slope=LEAK),
}


class Model(nn.Module):
    """Images ``[B, H, W]`` -> images ``[B, H, W]``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = Architecture.of(config)
        activation = _ACTIVATIONS[config["activation"]]
        for block in self.architecture.blocks():
            self.add_module(block.name, ConvBlock(block, activation, self.architecture.layer_norm))
        self.add_module(OUTPUT, Conv(self.architecture.channels, 1, (1, 1)))

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        x, skipped = batch["inputs"].unsqueeze(1), []
        for block in self.architecture.down:
            x = self.get_submodule(block.name)(x, dropout_rate)
            skipped.append(x)
            x = F.avg_pool2d(x, 2)
        x = self.Middle(x, dropout_rate)
        for block in self.architecture.up:
            x = self.get_submodule(block.name)(x, dropout_rate, skipped.pop())
        return self.get_submodule(OUTPUT)(x).squeeze(1)


class ConvBlock(nn.Module):
    """``[B, in, H, W] -> [B, out, H, W]``: twice convolution, normalisation, activation, dropout of whole channels.

    On the way up ``[B, in, h, w]`` and the skip connection's ``[B, out, H, W]``, H in {2h, 2h + 1}, come in.
    """

    def __init__(self, block: Block, activation: Activation, layer_norm: bool) -> None:
        super().__init__()
        self.activation, self.layer_norm = activation, layer_norm
        if block.up:
            self.ConvTranspose_0 = ConvTranspose(block.inputs, block.outputs)
        for index, inputs, outputs in block.convolutions():
            self.add_module(f"Conv_{index}", Conv(inputs, outputs, (3, 3), bias=False))
            if layer_norm:
                self.add_module(f"LayerNorm_{index}", MapNorm(outputs))

    def forward(self, x: Tensor, dropout_rate: float, skipped: Tensor | None = None) -> Tensor:
        if skipped is not None:
            x = self.activation(_instance_norm(self.ConvTranspose_0(x)))
            x = torch.cat((_fitted(x, skipped), skipped), dim=1)
        for index in range(2):
            x = self.get_submodule(f"Conv_{index}")(x)
            x = self.get_submodule(f"LayerNorm_{index}")(x) if self.layer_norm else _instance_norm(x)
            x = self.activation(x)
            if dropout_rate:
                x = F.dropout2d(x, dropout_rate, self.training)
        return x


class ConvTranspose(nn.Module):
    """``[B, in, h, w] -> [B, out, 2h, 2w]``: each place becomes a square of four; the weight is ``[out, in, 2, 2]``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)


class MapNorm(nn.Module):
    """Normalises every example over places and channels, with a scale and a bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, 1, self.weight, self.bias, eps=LAYER_NORM_EPS)


def _instance_norm(x: Tensor) -> Tensor:
    """Normalises every channel of every example (Ulyanov et al. 2016, arXiv 1607.08022), without scale and bias."""
    # Group norm's kernels take a third of the time of instance_norm's on CPU.
    return F.group_norm(x, x.shape[1], eps=INSTANCE_NORM_EPS)


def _fitted(x: Tensor, skipped: Tensor) -> Tensor:
    """``x`` at the size of ``skipped``: an odd end is mirrored."""
    right, below = skipped.shape[-1] - x.shape[-1], skipped.shape[-2] - x.shape[-2]
    return F.pad(x, [0, right, 0, below], mode="reflect") if right or below else x
