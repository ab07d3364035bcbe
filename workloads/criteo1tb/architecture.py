"""Widths of DLRM-small, for its declaration and for both frameworks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

DENSE = 13
CATEGORIES = 26
LAYER_NORM_EPS = 1e-6


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Bottom network over the counts, then dot products of all pairs (or a concatenation), then the top network.

    Attributes:
      bottom, top: output widths of the layers; the last one of ``top`` is the logit.
      top_inputs: width that enters the top network.
      residual: whether a layer adds its input where the widths agree, and there is no dot interaction.
      layer_norm: whether hidden layers and looked-up embeddings are normalised.
    """

    bottom: tuple[int, ...]
    top: tuple[int, ...]
    top_inputs: int
    residual: bool
    layer_norm: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        residual = config["residual"]
        if residual:
            width = config["residual_width"]
            bottom, top = (width,) * 3, (width,) * 4 + (1,)
            top_inputs = width + CATEGORIES * config["embedding"]
        else:
            bottom, top = tuple(config["bottom"]), tuple(config["top"])
            top_inputs = bottom[-1] + len(triangle())
        return cls(bottom, top, top_inputs, residual, config["layer_norm"])

    def bottom_layers(self) -> Iterator[tuple[int, int, int]]:
        """(index of the Dense, inputs, outputs)."""
        widths = (DENSE, *self.bottom)
        return zip(range(len(self.bottom)), widths[:-1], widths[1:], strict=True)

    def top_layers(self) -> Iterator[tuple[int, int, int]]:
        widths = (self.top_inputs, *self.top)
        first = len(self.bottom)
        return zip(range(first, first + len(self.top)), widths[:-1], widths[1:], strict=True)

    @property
    def last(self) -> int:
        """Index of the Dense that makes the logit."""
        return len(self.bottom) + len(self.top) - 1

    def norm_of_dense(self, index: int) -> int | None:
        """Index of the LayerNorm behind a hidden Dense; the embeddings' comes between bottom and top."""
        if not self.layer_norm or index == self.last:
            return None
        return index if index < len(self.bottom) else index + 1

    @property
    def norm_of_embedding(self) -> int | None:
        return len(self.bottom) if self.layer_norm else None


def triangle() -> np.ndarray:
    """Places of the upper triangle, diagonal included, in a flattened matrix of all dot products."""
    features = CATEGORIES + 1
    rows, columns = np.triu_indices(features)
    return rows * features + columns
