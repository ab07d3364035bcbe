"""Pictures for the models: files decoded, cut and scaled; arrays shifted, mirrored and standardised.

Everything random takes a ``RandomState`` and draws all its numbers before it looks at a picture, so that the numbers of
one example do not depend on the others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workloads.real_data import damage, file_errors

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, right and bottom exclusive."""

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
"""Share of the picture and width over height of a random crop (Szegedy et al. 2015, arXiv 1409.4842)."""

_ATTEMPTS = 10
"""Random crops that are tried before the centre is taken."""


# ---- arrays ----


def standardise(images: np.ndarray, mean: Sequence[float] | float, std: Sequence[float] | float) -> np.ndarray:
    """``(images - mean) / std`` per channel, float32 ``[..., width, channels]``."""
    width, channels = images.shape[-2:]
    scale = 1 / np.broadcast_to(np.asarray(std, np.float64), channels)
    # By rows of pixels: numpy's inner loop over three channels would take five times as long.
    rows = images.reshape(*images.shape[:-2], width * channels).astype(np.float32)
    rows *= np.tile(scale.astype(np.float32), width)
    rows -= np.tile((np.asarray(mean) * scale).astype(np.float32), width)
    return rows.reshape(images.shape)


def random_shift(images: np.ndarray, most: int, random: np.random.RandomState) -> np.ndarray:
    """``[n, height, width, channels]`` moved by up to ``most`` pixels along each axis; zeros come in from outside."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    corners = random.randint(2 * most + 1, size=(len(images), 2))
    moved = np.empty_like(images)
    for place, image, (top, left) in zip(moved, padded, corners, strict=True):
        place[:] = image[top : top + height, left : left + width]
    return moved


def random_mirror(images: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """``[n, height, width, channels]``, each picture with probability 1/2 left to right."""
    mirrored = random.randint(2, size=len(images)).astype(bool)
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


# ---- files ----


def centre_crops(paths: Sequence[Path], short_side: int, side: int) -> np.ndarray:
    """The middle of each file's picture, its shorter side scaled to ``short_side``: uint8 ``[n, side, side, 3]``.

    Raises:
      WorkloadError: a file is missing or is not a whole picture.
    """

    def cut(path: Path) -> np.ndarray:
        image = _decoded(path)
        size = _scaled_size(image.size, short_side)
        left, top = (round((length - side) / 2) for length in size)
        scaled = image.resize(size, _bilinear())
        return np.asarray(scaled.crop((left, top, left + side, top + side)))

    return _stacked(cut, paths, side)


def random_crops(paths: Sequence[Path], side: int, random: np.random.RandomState) -> np.ndarray:
    """A random part of each file's picture, scaled: uint8 ``[n, side, side, 3]``.

    Raises:
      WorkloadError: a file is missing or is not a whole picture.
    """
    draws = random.random_sample((len(paths), _ATTEMPTS, 4))

    def cut(path: Path, numbers: np.ndarray) -> np.ndarray:
        image = _decoded(path)
        # Not resize(box=...), which would let pixels beyond the box into the edges.
        return np.asarray(image.crop(crop_box(image.size, numbers)).resize((side, side), _bilinear()))

    return _stacked(cut, paths, side, draws)


def crop_box(size: tuple[int, int], numbers: np.ndarray) -> Box:
    """The random crop of a picture of ``size`` (width, height) that uniform ``numbers [attempts, 4]`` choose.

    Area within AREA, the logarithm of the aspect within ASPECT's, place uniform; the first attempt that fits counts.
    When none does, it is the largest centred part with an aspect within ASPECT.
    """
    width, height = size
    low, high = math.log(ASPECT[0]), math.log(ASPECT[1])
    for area, aspect, left, top in numbers:
        area = width * height * (AREA[0] + (AREA[1] - AREA[0]) * area)
        ratio = math.exp(low + (high - low) * aspect)
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            x, y = int(left * (width - wide + 1)), int(top * (height - tall + 1))
            return x, y, x + wide, y + tall
    wide, tall = min(width, round(height * ASPECT[1])), min(height, round(width / ASPECT[0]))
    x, y = (width - wide) // 2, (height - tall) // 2
    return x, y, x + wide, y + tall


def _scaled_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Width and height with the shorter one scaled to ``short_side``, the longer one rounded down."""
    shorter = min(size)
    width, height = (short_side * length // shorter for length in size)
    return width, height


def _bilinear() -> int:
    from PIL.Image import Resampling

    return Resampling.BILINEAR


def _decoded(path: Path) -> Image:
    """The whole picture in RGB; grey, indexed and CMYK files are converted."""
    from PIL import Image

    # What pillow raises for damage depends on the format.
    kinds = (SyntaxError, ValueError, Image.DecompressionBombError)
    broken = damage(path, "is not a whole picture", "unpack it again from its archive", *kinds)
    with file_errors(path), broken, Image.open(path) as image:
        return image.convert("RGB")


def _stacked(cut: Callable[..., np.ndarray], paths: Sequence[Path], side: int, *more: Iterable) -> np.ndarray:
    """``cut`` of every path, by as many threads as there are cores to run on: the decoder frees the interpreter."""
    result = np.empty((len(paths), side, side, 3), np.uint8)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, len(paths))
    if threads <= 1:
        for place, image in zip(result, map(cut, paths, *more), strict=True):
            place[:] = image
    else:
        with ThreadPoolExecutor(threads) as pool:
            for place, image in zip(result, pool.map(cut, paths, *more), strict=True):
                place[:] = image
    return result
