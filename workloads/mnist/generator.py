"""MNIST-like images from the 1,797 real 8x8 digits bundled with scikit-learn.

Every split draws from its own pool of glyphs, so that a network which memorises the training glyphs is found out.
An image is a glyph seen through a random affine map and a sine warp, with a random contrast and noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.data_events import announced, generates

SIDE = 28
_CHUNK = 1000
"""Images rendered at a time: keeps the coordinates in the processor's cache."""


@announced(generates)
def generate(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    """Splits with ``inputs`` float32 ``[n, 28, 28, 1]``, standardised pixels, and ``targets`` int32 ``[n]``; for
    training examples also ``groups``, the glyph that each was rendered from."""
    rng = np.random.RandomState(config["seed"])
    pools = glyph_pools(rng, config["pools"])
    splits = {}
    for split, size in sizes.items():
        glyphs, labels = pools[split]
        chosen = rng.randint(len(glyphs), size=size)
        pixels = np.concatenate([render(rng, glyphs[chosen[i : i + _CHUNK]], config) for i in range(0, size, _CHUNK)])
        inputs = (pixels.astype(np.float32) - config["pixel_mean"]) / config["pixel_std"]
        splits[split] = {"inputs": inputs[..., None].astype(np.float32), "targets": labels[chosen].astype(np.int32)}
        if split == "train":
            splits[split]["groups"] = chosen.astype(np.int32)
    return splits


def glyph_pools(rng: np.random.RandomState, sizes: Mapping[str, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Disjoint pools ``(glyphs [n, 8, 8] in 0..1, labels [n])`` of the given sizes, each class spread evenly."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = rng.permutation(len(digits.target))
    order = order[np.argsort(digits.target[order], kind="stable")]
    rank = np.empty(len(order))
    rank[order] = (np.arange(len(order)) * 0.6180339887498949) % 1.0
    spread = np.argsort(rank, kind="stable")
    bounds = np.cumsum([0, *sizes.values()])
    return {
        split: (digits.images[spread[a:b]] / 16.0, digits.target[spread[a:b]])
        for split, a, b in zip(sizes, bounds[:-1], bounds[1:], strict=True)
    }


def render(rng: np.random.RandomState, glyphs: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    """Glyphs ``[n, 8, 8]`` in 0..1 -> images ``[n, 28, 28]`` uint8."""
    n = len(glyphs)

    def between(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, size=(n, 1, 1)).astype(np.float32)

    angle, shear = between(-1, 1) * config["rotation"], between(-1, 1) * config["shear"]
    scale_x, scale_y = (np.exp(between(-1, 1) * config["log_scale"]) for _ in range(2))
    shift_x, shift_y = (between(-1, 1) * config["shift"] for _ in range(2))
    warp, phase = between(0, 1) * config["warp"], between(0, 2 * np.pi)
    blank, ink, noise = between(0, 0.15), between(0.6, 1.0), between(0, 1) * config["noise"]

    axis = np.linspace(-1, 1, SIDE, dtype=np.float32)
    y, x = (grid[None] for grid in np.meshgrid(axis, axis, indexing="ij"))
    x, y = x - shift_x, y - shift_y
    turned_x = (np.cos(angle) * x + np.sin(angle) * y) * scale_x
    turned_y = (np.cos(angle) * y - np.sin(angle) * x) * scale_y
    column = 4.2 * (turned_x + shear * turned_y + warp * np.sin(3 * turned_y + phase)) + 3.5
    row = 4.2 * turned_y + 3.5
    image = blank + (ink - blank) * _bilinear(glyphs.astype(np.float32), row, column)
    image += noise * rng.standard_normal(image.shape).astype(np.float32)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _bilinear(glyphs: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Values of ``glyphs [n, 8, 8]``, zero outside, at fractional places ``row, column [n, height, width]``."""
    side = glyphs.shape[1] + 2
    padded = np.pad(glyphs, ((0, 0), (1, 1), (1, 1))).ravel()
    row, column = (np.clip(place + 1, 0, side - 1.001) for place in (row, column))
    top, left = row.astype(np.int32), column.astype(np.int32)
    down, right = row - top, column - left
    at = (np.arange(len(glyphs), dtype=np.int32) * side * side)[:, None, None] + top * side + left
    upper = padded[at] * (1 - right) + padded[at + 1] * right
    lower = padded[at + side] * (1 - right) + padded[at + side + 1] * right
    return upper * (1 - down) + lower * down
