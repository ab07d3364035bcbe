"""Structural similarity of images (Wang et al. 2004, IEEE Transactions on Image Processing 13(4)), as fastMRI takes it
(Zbontar et al. 2018, arXiv 1811.08839): windows of 7 x 7 of equal weight, unbiased variances, K1 .01 and K2 .03."""

from __future__ import annotations

import numpy as np

_WINDOW = 7
_K1, _K2 = 0.01, 0.03


def ssim(images: np.ndarray, others: np.ndarray, data_range: np.ndarray) -> np.ndarray:
    """The mean over all windows that lie within the image, per pair of images ``[B]``, between -1 and 1.

    Args:
      images, others: ``[B, H, W]``, at least 7 x 7.
      data_range: the largest value that could be, per pair ``[B]``; fastMRI's is the volume's maximum. 0 counts as 1.
    """
    scale = np.where(data_range == 0, 1.0, np.asarray(data_range, np.float64))[:, None, None]
    a, b = images / scale, others / scale
    count = _WINDOW**2
    mean_a, mean_b = _window_means(a), _window_means(b)
    unbiased = count / (count - 1)
    variance_a = unbiased * (_window_means(a * a) - mean_a * mean_a)
    variance_b = unbiased * (_window_means(b * b) - mean_b * mean_b)
    covariance = unbiased * (_window_means(a * b) - mean_a * mean_b)
    c1, c2 = _K1**2, _K2**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return np.clip((luminance * structure).mean(axis=(1, 2)), -1.0, 1.0)


def _window_means(images: np.ndarray) -> np.ndarray:
    """``[B, H, W] -> [B, H - 6, W - 6]``."""
    rows = sum(images[:, i : images.shape[1] - _WINDOW + 1 + i] for i in range(_WINDOW))
    total = sum(rows[:, :, i : images.shape[2] - _WINDOW + 1 + i] for i in range(_WINDOW))
    return np.asarray(total) / _WINDOW**2
