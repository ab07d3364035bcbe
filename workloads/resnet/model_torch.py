"""Residual networks in torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from workloads.layers_torch import BatchNorm, Conv, Dense, overwriting
from workloads.resnet.architecture import DECAY, EPSILON, POOL, Architecture, Block, Convolution


class Model(nn.Module):
    """Pictures ``[B, side, side, 3] -> [B, classes]`` logits."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.architecture = Architecture.of(config)
        self.activation = overwriting(self.architecture.activation)  # of what a batch norm or a sum has just made
        _add(self, self.architecture.stem)
        for block in self.architecture.blocks:
            stage, name = block.name.split(".")
            if stage not in self._modules:
                self.add_module(stage, nn.Module())
            self.get_submodule(stage).add_module(name, ResidualBlock(block, self.activation))
        self.add_module("Dense_0", Dense(self.architecture.features, self.architecture.classes))

    def forward(self, batch: Mapping[str, Tensor], dropout_rate: float) -> Tensor:
        x = batch["inputs"].permute(0, 3, 1, 2)  # which torch runs with channels last in memory, as they came
        x = self.activation(_convolved(self, self.architecture.stem, x))
        if self.architecture.pooled:
            x = F.max_pool2d(x, POOL["window"], POOL["stride"], POOL["padding"])
        for block in self.architecture.blocks:
            x = self.get_submodule(block.name)(x)
        return self.Dense_0(x.mean((2, 3)))


class ResidualBlock(nn.Module):
    """``[B, channels, height, width]`` to that of the block's last convolution."""

    def __init__(self, block: Block, activation: Any) -> None:
        super().__init__()
        self.block, self.activation = block, activation
        for convolution in block.convolutions:
            _add(self, convolution)

    def forward(self, x: Tensor) -> Tensor:
        *first, last = self.block.branch
        y = x
        for convolution in first:
            y = self.activation(_convolved(self, convolution, y))
        y = _convolved(self, last, y)
        if self.block.shortcut:
            x = _convolved(self, self.block.shortcut, x)
        return self.activation(y.add_(x))


def _add(module: nn.Module, c: Convolution) -> None:
    window = (c.window, c.window)
    convolution = Conv(c.inputs, c.outputs, window, stride=c.stride, padding=c.padding, bias=False)
    module.add_module(f"Conv_{c.suffix}", convolution)
    module.add_module(f"BatchNorm_{c.suffix}", BatchNorm(c.outputs, decay=DECAY, eps=EPSILON))


def _convolved(module: nn.Module, c: Convolution, x: Tensor) -> Tensor:
    convolution, norm = getattr(module, f"Conv_{c.suffix}"), getattr(module, f"BatchNorm_{c.suffix}")
    return norm(convolution(x))
