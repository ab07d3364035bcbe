"""Widths and names of the U-Net (Ronneberger et al. 2015, arXiv 1505.04597, with the changes of Zbontar et al. 2018,
arXiv 1811.08839, section 5.2), for its declaration and for both frameworks.

Blocks of two convolutions, with half of the resolution and twice the channels from one to the next; then back up, each
block with the output of the one at its resolution on the way down beside its input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

INSTANCE_NORM_EPS = 1e-5
LAYER_NORM_EPS = 1e-6
LEAK = 0.2
"""Slope of the leaky ReLU below zero."""
OUTPUT = "Conv_0"
"""The last convolution, 1 x 1, which makes one channel."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Two 3 x 3 convolutions, each with normalisation, activation and dropout of channels; on the way up, behind a
    transposed convolution that doubles the resolution.

    Attributes:
      name: where its parameters are, for example ``Down_0``.
      inputs: channels that come in: those of the level below on the way up.
      outputs: channels that come out, and that the skip connection brings on the way up.
      up: whether it is on the way up.
    """

    name: str
    inputs: int
    outputs: int
    up: bool = False

    def convolutions(self) -> Iterator[tuple[int, int, int]]:
        """(index, inputs, outputs) of its 3 x 3 convolutions."""
        yield 0, 2 * self.outputs if self.up else self.inputs, self.outputs
        yield 1, self.outputs, self.outputs


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Attributes:
    down: blocks on the way down, each followed by pooling.
    middle: the block at the lowest resolution.
    up: blocks on the way up.
    layer_norm: whether the blocks' 3 x 3 convolutions are followed by LayerNorm over the whole feature map, with a
      scale and a bias per channel, in place of instance norm without them.
    """

    down: tuple[Block, ...]
    middle: Block
    up: tuple[Block, ...]
    layer_norm: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        size = config["sizes"][config["size"]]
        widths = [size["channels"] << level for level in range(size["pools"] + 1)]
        down = [Block(f"Down_{i}", widths[i - 1] if i else 1, width) for i, width in enumerate(widths[:-1])]
        up = [Block(f"Up_{i}", 2 * width, width, up=True) for i, width in enumerate(reversed(widths[:-1]))]
        middle = Block("Middle", widths[-2], widths[-1])
        return cls(tuple(down), middle, tuple(up), config["norm"] == "layer")

    def blocks(self) -> tuple[Block, ...]:
        """All blocks, in the order of the forward pass."""
        return (*self.down, self.middle, *self.up)

    @property
    def channels(self) -> int:
        """Channels at full resolution."""
        return self.down[0].outputs
