"""Constants and tables of the vision transformer that both frameworks and the declaration share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

LAYER_NORM_EPS = 1e-6
CHANNELS = 3
_TEMPERATURE = 10_000.0


@dataclasses.dataclass(frozen=True)
class Architecture:
    """ViT (Dosovitskiy et al. 2021, arXiv 2010.11929) in the simplified form of Beyer et al. 2022 (arXiv 2205.01580):
    no class token, fixed positions, mean of the tokens.

    Attributes:
      side: of the square pictures, in pixels.
      patch: side of a patch, in pixels.
      width: features of a token.
      depth: blocks.
      heads: of every attention.
      hidden: features inside the MLP.
      classes: logits.
      glu: the MLP's hidden features are multiplied by a Dense of themselves.
      post_ln: LayerNorm behind each residual sum, in place of before each branch and at the end.
      map_head: attention of a learned probe over the tokens, in place of their mean.
    """

    side: int
    patch: int
    width: int
    depth: int
    heads: int
    hidden: int
    classes: int
    glu: bool
    post_ln: bool
    map_head: bool

    @staticmethod
    def of(config: Mapping[str, Any]) -> Architecture:
        return Architecture(**config)

    @property
    def blocks(self) -> list[str]:
        return [f"Block_{i}" for i in range(self.depth)]

    @property
    def grid(self) -> int:
        """Patches along one side of a picture."""
        return self.side // self.patch

    @property
    def dropouts(self) -> int:
        """Places where a forward pass drops: after the embedding, three in each block, one in the head's MLP."""
        return 1 + 3 * self.depth + self.map_head


def position_table(grid: int, width: int) -> np.ndarray:
    """Fixed positions ``[grid * grid, width]`` float32 of patches in row-major order: sines and cosines of the column,
    then of the row, a quarter of the width each, at frequencies from 1 down to 1/10000 (Beyer et al. 2022).

    Raises:
      ValueError: the width is no multiple of 4, or 4 itself.
    """
    if width % 4 or width < 8:
        raise ValueError(f"positions need a width that is a multiple of 4 and at least 8, not {width}")
    quarter = width // 4
    frequencies = _TEMPERATURE ** -(np.arange(quarter) / (quarter - 1))
    row, column = (place.reshape(-1, 1) * frequencies for place in np.mgrid[:grid, :grid])
    return np.concatenate([np.sin(column), np.cos(column), np.sin(row), np.cos(row)], axis=1).astype(np.float32)
