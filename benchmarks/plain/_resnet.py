from __future__ import annotations

from typing import Any

import jax
import optax
from flax import linen
from torch import nn
from torch.nn import functional as F


def torch_norm(inputs: int, outputs: int, window: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, window, stride, window // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class TorchBlock(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            layers = [torch_norm(inputs, width, 1), nn.ReLU(), torch_norm(width, width, 3, stride), nn.ReLU()]
            self.branch = nn.Sequential(*layers, torch_norm(width, outputs, 1))
        else:
            self.branch = nn.Sequential(torch_norm(inputs, width, 3, stride), nn.ReLU(), torch_norm(width, width, 3))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = torch_norm(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        return F.relu(self.branch(x) + self.shortcut(x))


class TorchModel(nn.Module):
    def __init__(self, workload: Any) -> None:
        super().__init__()
        config = workload.model_config
        bottleneck, width = config["block"] == "bottleneck", config["width"]
        stem: list[nn.Module] = [torch_norm(3, width, 3), nn.ReLU()]
        if config["stem"] == "large":
            stem = [torch_norm(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        blocks, channels = [], width
        for stage, count in enumerate(config["stages"]):
            for number in range(count):
                stride = 2 if stage and not number else 1
                blocks.append(TorchBlock(channels, width * 2**stage, stride, bottleneck))
                channels = width * 2**stage * (4 if bottleneck else 1)
        self.features = nn.Sequential(*stem, *blocks)
        self.head = nn.Linear(channels, config["classes"])

    def forward(self, batch: Any) -> Any:
        features = self.features(batch["inputs"].permute(0, 3, 1, 2))
        return F.cross_entropy(self.head(features.mean((2, 3))), batch["targets"])


class JaxModel(linen.Module):
    config: Any

    def norm(self, x: Any, outputs: int, window: int, stride: int = 1) -> Any:
        padding = [(window // 2, window // 2)] * 2
        x = linen.Conv(outputs, (window, window), (stride, stride), padding, use_bias=False)(x)
        # The variance that torch takes, and timetrial; flax's default subtracts squares, which is 3% less work.
        return linen.BatchNorm(use_running_average=False, momentum=0.9, use_fast_variance=False)(x)

    def block(self, x: Any, width: int, stride: int) -> Any:
        if self.config["block"] == "bottleneck":
            y = linen.relu(self.norm(x, width, 1))
            y = linen.relu(self.norm(y, width, 3, stride))
            y = self.norm(y, 4 * width, 1)
        else:
            y = linen.relu(self.norm(x, width, 3, stride))
            y = self.norm(y, width, 3)
        if x.shape != y.shape:
            x = self.norm(x, y.shape[-1], 1, stride)
        return linen.relu(x + y)

    @linen.compact
    def __call__(self, x: Any) -> Any:
        if self.config["stem"] == "large":
            x = linen.relu(self.norm(x, self.config["width"], 7, 2))
            x = linen.max_pool(x, (3, 3), (2, 2), [(1, 1), (1, 1)])
        else:
            x = linen.relu(self.norm(x, self.config["width"], 3))
        for stage, count in enumerate(self.config["stages"]):
            for number in range(count):
                x = self.block(x, self.config["width"] * 2**stage, 2 if stage and not number else 1)
        return linen.Dense(self.config["classes"])(x.mean((1, 2)))


def jax_model(workload: Any) -> Any:
    model = JaxModel(dict(workload.model_config))

    def loss(params: Any, state: Any, batch: Any, key: Any) -> Any:
        variables = {"params": params, "batch_stats": state}
        logits, after = model.apply(variables, batch["inputs"], mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
        return losses.mean(), after["batch_stats"]

    def init(key: Any, batch: Any) -> Any:
        variables = jax.jit(model.init)(key, batch["inputs"])
        return variables["params"], variables["batch_stats"]

    return init, loss
