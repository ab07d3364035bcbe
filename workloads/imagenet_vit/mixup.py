"""Mixup (Zhang et al. 2018, arXiv 1710.09412) of a batch with itself."""

from __future__ import annotations

import numpy as np


def mixup(
    pixels: np.ndarray, labels: np.ndarray, classes: int, alpha: float, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Every example with the one before it (the first with the last), by one weight from Beta(alpha, alpha).

    Args:
      pixels: ``[B, ...]``.
      labels: class numbers ``[B]``.

    Returns:
      pixels and class probabilities ``[B, classes]``, float32.
    """
    weight = random.beta(alpha, alpha)
    probabilities = np.zeros((len(labels), classes), np.float32)
    probabilities[np.arange(len(labels)), labels] = 1.0
    return _mixed(pixels, weight), _mixed(probabilities, weight)


def _mixed(values: np.ndarray, weight: float) -> np.ndarray:
    others = values.astype(np.float32)
    mixed = others * np.float32(weight)
    others *= np.float32(1 - weight)
    mixed[1:] += others[:-1]
    mixed[0] += others[-1]
    return mixed
