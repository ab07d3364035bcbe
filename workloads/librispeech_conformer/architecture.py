"""What both models derive from the configuration."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from workloads.speech.front_end import FrontEnd

QUERY_SCALE = 1.0 / math.log(2.0)
"""A query is multiplied by softplus(scale) over softplus(0), so that a scale of 0 changes nothing."""

_LONGEST_WAVE = 10_000.0


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes and switches of the conformer (Gulati et al. 2020, arXiv 2005.08100), named as in the configuration."""

    width: int
    heads: int
    layers: int
    expansion: int
    window: int
    activation: str
    post_layer_norm: bool
    attention_temperature: float
    classes: int
    statistics_decay: float
    front_end: FrontEnd

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture:
        names = {field.name for field in dataclasses.fields(cls)} - {"front_end"}
        return cls(**{name: config[name] for name in names}, front_end=FrontEnd.of(config))

    @property
    def blocks(self) -> tuple[str, ...]:
        return tuple(f"Block_{i}" for i in range(self.layers))


def positions(length: int, width: int) -> np.ndarray:
    """``[length, width]``: sines, then cosines, whose wave lengths grow from 2 pi to 20,000 pi (Vaswani et al. 2017).

    Both ends are met: the exponent runs over 0, 1 / (width / 2 - 1), ..., 1.
    """
    waves = _LONGEST_WAVE ** -np.linspace(0.0, 1.0, width // 2)
    angles = np.arange(length)[:, None] * waves
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
