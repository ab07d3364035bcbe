"""What both models and the declaration derive from a configuration: blocks, their convolutions and norms.

He et al. 2015 (arXiv 1512.03385), with the stride on the 3x3 convolution of a bottleneck. Configurations have

- ``block``: ``basic`` (two 3x3 convolutions) or ``bottleneck`` (1x1, 3x3, 1x1 to four times the width);
- ``stages``: number of blocks per stage; ``width``: channels of the first stage, doubled in each further one;
- ``stem``: ``large`` (7x7 with stride 2, then a 3x3 maximum with stride 2) or ``small`` (3x3);
- ``classes``, ``activation``, and ``last_scale``: initial scale of the last norm of each residual branch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.spec import Parameter, ParameterType, Statistic
from workloads.declared import dense
from workloads.init_laws import constant, lecun_normal, normal, ones, zeros

DECAY = 0.9
EPSILON = 1e-5
"""Of every batch norm: share of the running statistics that an update keeps, and what is added to variances."""

POOL = {"window": 3, "stride": 2, "padding": 1}
"""The maximum behind the large stem."""

_CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution without bias, padded to keep the size before striding, and the batch norm behind it.

    Attributes:
      suffix: of the names ``Conv_<suffix>`` and ``BatchNorm_<suffix>``.
      inputs, outputs: channels.
      window: its side.
      is_last: whether the norm is the last of a residual branch.
    """

    suffix: str
    inputs: int
    outputs: int
    window: int
    stride: int = 1
    is_last: bool = False

    @property
    def padding(self) -> int:
        return self.window // 2


@dataclasses.dataclass(frozen=True)
class Block:
    """A residual block: the branch's convolutions, and the shortcut's where the shape changes."""

    name: str
    branch: Sequence[Convolution]
    shortcut: Convolution | None

    @property
    def convolutions(self) -> Sequence[Convolution]:
        return [*self.branch, self.shortcut] if self.shortcut else self.branch


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The parts in the order of the forward pass; ``features`` go into the last layer ``Dense_0``."""

    stem: Convolution
    pooled: bool
    blocks: Sequence[Block]
    features: int
    classes: int
    activation: str
    last_scale: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        width, large = config["width"], config["stem"] == "large"
        blocks: list[Block] = []
        channels = width
        for stage, count in enumerate(config["stages"]):
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                branch = _BRANCHES[config["block"]](channels, width * 2**stage, stride)
                outputs = branch[-1].outputs
                changed = stride > 1 or channels != outputs
                shortcut = Convolution("proj", channels, outputs, 1, stride) if changed else None
                blocks.append(Block(f"Stage_{stage}.Block_{number}", branch, shortcut))
                channels = outputs
        stem = Convolution("init", _CHANNELS, width, 7 if large else 3, 2 if large else 1)
        activation, last_scale = config["activation"], config["last_scale"]
        return cls(stem, large, blocks, channels, config["classes"], activation, last_scale)

    def placed(self) -> Iterator[tuple[str, Convolution]]:
        """All convolutions with the dotted path, ending in a dot unless empty, of the part that they belong to."""
        yield "", self.stem
        for block in self.blocks:
            for convolution in block.convolutions:
                yield f"{block.name}.", convolution


def _basic(inputs: int, width: int, stride: int) -> list[Convolution]:
    return [Convolution("0", inputs, width, 3, stride), Convolution("1", width, width, 3, is_last=True)]


def _bottleneck(inputs: int, width: int, stride: int) -> list[Convolution]:
    return [
        Convolution("0", inputs, width, 1),
        Convolution("1", width, width, 3, stride),
        Convolution("2", width, 4 * width, 1, is_last=True),
    ]


_BRANCHES = {"basic": _basic, "bottleneck": _bottleneck}


def parameters(config: Mapping[str, Any]) -> list[Parameter]:
    """Every trainable tensor. Convolutions are LeCun normal; the last layer N(0, 0.01^2) with a bias of zeros."""
    architecture = Architecture.of(config)
    declared: list[Parameter] = []
    for path, part in architecture.placed():
        window = (part.window, part.window)
        scale = constant(architecture.last_scale) if part.is_last else ones
        norm, features = f"{path}BatchNorm_{part.suffix}", (part.outputs,)
        declared += [
            Parameter(
                f"{path}Conv_{part.suffix}.kernel",
                (*window, part.inputs, part.outputs),
                ParameterType.CONV_WEIGHT,
                lecun_normal(),
            ),
            Parameter(f"{norm}.scale", features, ParameterType.BATCH_NORM_SCALE, scale),
            Parameter(f"{norm}.bias", features, ParameterType.BATCH_NORM_BIAS, zeros),
        ]
    return [*declared, *dense("Dense_0", architecture.features, architecture.classes, normal(0.01), is_output=True)]


def statistics(config: Mapping[str, Any]) -> list[Statistic]:
    """Running mean and variance of every batch norm."""
    return [
        Statistic(f"{path}BatchNorm_{part.suffix}.{leaf}", (part.outputs,), initial)
        for path, part in Architecture.of(config).placed()
        for leaf, initial in (("mean", 0.0), ("var", 1.0))
    ]
