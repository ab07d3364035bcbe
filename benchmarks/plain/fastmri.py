from __future__ import annotations

from typing import Any

import torch
from flax import linen
from jax import numpy as jnp
from torch import nn
from torch.nn import functional as F

CHANNELS, POOLS = 8, 3
WIDTHS = [CHANNELS << level for level in range(POOLS + 1)]


def torch_block(inputs: int, outputs: int) -> nn.Sequential:
    layers = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.InstanceNorm2d(outputs),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers)


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        self.down = nn.ModuleList(map(torch_block, [1, *WIDTHS[:-2]], WIDTHS[:-1]))
        self.middle = torch_block(WIDTHS[-2], WIDTHS[-1])
        self.grow = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(2 * width, width, 2, stride=2, bias=False),
                nn.InstanceNorm2d(width),
                nn.LeakyReLU(0.2),
            )
            for width in WIDTHS[-2::-1]
        )
        self.up = nn.ModuleList(torch_block(2 * width, width) for width in WIDTHS[-2::-1])
        self.last = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, batch: Any) -> Any:
        x, skipped = batch["inputs"][:, None], []
        for block in self.down:
            x = block(x)
            skipped.append(x)
            x = F.avg_pool2d(x, 2)
        x = self.middle(x)
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat((grow(x), skipped.pop()), dim=1))
        return F.l1_loss(self.last(x)[:, 0], batch["targets"])


def normalised(x: Any) -> Any:
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return linen.leaky_relu((x - mean) / jnp.sqrt(variance + 1e-5), 0.2)


class JaxBlock(linen.Module):
    outputs: int

    @linen.compact
    def __call__(self, x: Any) -> Any:
        for _ in range(2):
            x = normalised(linen.Conv(self.outputs, (3, 3), use_bias=False)(x))
        return x


class JaxModel(linen.Module):
    @linen.compact
    def __call__(self, images: Any) -> Any:
        x, skipped = images[..., None], []
        for width in WIDTHS[:-1]:
            x = JaxBlock(width)(x)
            skipped.append(x)
            x = linen.avg_pool(x, (2, 2), (2, 2))
        x = JaxBlock(WIDTHS[-1])(x)
        for width in WIDTHS[-2::-1]:
            x = normalised(linen.ConvTranspose(width, (2, 2), strides=(2, 2), use_bias=False)(x))
            x = JaxBlock(width)(jnp.concatenate((x, skipped.pop()), axis=-1))
        return linen.Conv(1, (1, 1))(x)[..., 0]


def jax_model(workload: Any) -> Any:
    model = JaxModel()

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        return jnp.abs(model.apply(params, batch["inputs"]) - batch["targets"]).mean(), state

    return lambda key, batch: (model.init(key, batch["inputs"]), None), loss
