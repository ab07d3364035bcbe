"""Constants and tables of the transformer that both frameworks share."""

from __future__ import annotations

import numpy as np

RMS_NORM_EPS = 1e-6
QK_NORM_EPS = 1e-6
ROTARY_THETA = 500_000.0


def rotary_table(length: int, head_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine, each ``[length, 1, head_features / 2]`` float32, of the angle by which the pair (2i, 2i + 1) of
    a query or key is turned at each position: Su et al. 2021 (arXiv 2104.09864), eq. 15, with base ROTARY_THETA."""
    frequencies = ROTARY_THETA ** -(np.arange(0, head_features, 2) / head_features)
    angles = np.arange(length)[:, None, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
