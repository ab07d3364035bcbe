"""Constants and tables of the translator that both frameworks share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

PAD, UNKNOWN, END = range(3)
"""Token ids: padding, which also starts every translation; words outside the vocabulary; the end of a sentence."""

LAYER_NORM_EPS = 1e-6
_LONGEST_WAVE = 10_000.0


def position_table(length: int, features: int) -> np.ndarray:
    """Sines, then cosines, of each position, ``[length, features]`` float32: the waves of Vaswani et al. 2017
    (arXiv 1706.03762), section 3.5, in halves rather than in turn, the last one 10,000 / 2 pi positions long."""
    half = features // 2
    frequencies = np.exp(np.arange(half) * (-math.log(_LONGEST_WAVE) / (half - 1)))
    angles = np.arange(length)[:, None] * frequencies
    return np.concatenate((np.sin(angles), np.cos(angles)), axis=1).astype(np.float32)


def attention_scale(config: Mapping[str, Any]) -> float:
    """Factor of the attention logits: temperature / sqrt(head features)."""
    return config["attention_temperature"] * (config["features"] // config["heads"]) ** -0.5


def length_penalty(length: Any, exponent: float) -> Any:
    """By which the log probability of a translation of so many tokens, END included, is divided: Wu et al. 2016
    (arXiv 1609.08144), eq. 14."""
    return ((5.0 + length) / 6.0) ** exponent
