"""RandAugment (Cubuk et al. 2020, arXiv 1909.13719) on arrays: operations drawn at random, all at full strength.

The sixteen operations and their strengths are AlgoPerf's; each gives what pillow's operation of that name gives. They
work on a group of pictures at a time, uint8 ``[n, height, width, 3]``, and never write into their arguments.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

FILL = 128
"""What comes in where an operation has no picture."""

_GREY_WEIGHTS = (19595, 38470, 7471)
"""Of red, green and blue in a picture's luminance, in 1/65536 (ITU-R BT.601)."""
_CHUNK_BYTES = 1 << 20
"""Of pictures that one thread takes at a time."""

Operation = Callable[[np.ndarray, "Draws"], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Draws:
    """The random numbers of one operation on each of n pictures.

    Attributes:
      sign: 1 or -1, ``[n]``: the direction of a rotation, a shear or a translation.
      place: where in the picture, from 0 to 1: row and column, ``[n, 2]``.
    """

    sign: np.ndarray
    place: np.ndarray

    def __getitem__(self, index: np.ndarray | slice) -> Draws:
        return Draws(self.sign[index], self.place[index])


def randaugment(
    images: np.ndarray, names: Sequence[str], layers: int, random: np.random.RandomState, threads: int | None = None
) -> np.ndarray:
    """``layers`` operations, one after the other, each drawn for every picture among ``names``.

    Args:
      images: uint8 ``[n, height, width, 3]``.
      names: keys of OPERATIONS.
      threads: by default as many as there are cores to run on; the result does not depend on it.
    """
    count = len(images)
    chosen = random.randint(len(names), size=(count, layers))
    signs = 2 * random.randint(2, size=(count, layers)) - 1
    places = random.random_sample((count, layers, 2))

    def augmented(part: slice) -> np.ndarray:
        result = images[part]
        for layer in range(layers):
            draws = Draws(signs[part, layer], places[part, layer])
            result = _applied(result, [names[i] for i in chosen[part, layer]], draws)
        return result

    size = max(1, _CHUNK_BYTES // max(images[:1].nbytes, 1))
    parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    threads = min(threads or _cores(), len(parts))
    if threads <= 1:
        return np.concatenate([augmented(part) for part in parts])
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(augmented, parts)))


def _applied(images: np.ndarray, names: Sequence[str], draws: Draws) -> np.ndarray:
    result = np.empty_like(images)
    for name in set(names):
        which = np.flatnonzero([name == other for other in names])
        result[which] = OPERATIONS[name](images[which], draws[which])
    return result


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---- one value from one value ----


def _tables(images: np.ndarray, table_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Every channel of every picture through the table ``[256]`` that its histogram ``[256]`` gives."""
    pictures, channels = len(images), images.shape[-1]
    offsets = 256 * np.arange(pictures * channels).reshape(pictures, 1, 1, channels)
    places = images + offsets
    histograms = np.bincount(places.ravel(), minlength=256 * pictures * channels).reshape(-1, 256)
    return np.concatenate([table_of(histogram) for histogram in histograms])[places]


def _stretch(histogram: np.ndarray) -> np.ndarray:
    """The darkest value to 0, the brightest to 255, evenly in between; a channel of one value stays."""
    present, values = np.flatnonzero(histogram), np.arange(256)
    low, high = present[0], present[-1]
    if low == high:
        return values.astype(np.uint8)
    scale = 255.0 / (high - low)
    return np.clip((values * scale - low * scale).astype(np.int64), 0, 255).astype(np.uint8)


def _flatten(histogram: np.ndarray) -> np.ndarray:
    """About as many pixels at every value; a channel with too few pixels beside its brightest ones stays."""
    present = np.flatnonzero(histogram)
    step = (histogram.sum() - histogram[present[-1]]) // 255
    if step == 0:
        return np.arange(256, dtype=np.uint8)
    below = np.cumsum(histogram) - histogram
    return np.clip((step // 2 + below) // step, 0, 255).astype(np.uint8)


def _auto_contrast(images: np.ndarray, draws: Draws) -> np.ndarray:
    return _tables(images, _stretch)


def _equalize(images: np.ndarray, draws: Draws) -> np.ndarray:
    return _tables(images, _flatten)


def _invert(images: np.ndarray, draws: Draws) -> np.ndarray:
    return 255 - images


def _posterize(images: np.ndarray, draws: Draws, *, bits: int) -> np.ndarray:
    return images & np.uint8(256 - (1 << 8 - bits))


def _solarize(images: np.ndarray, draws: Draws, *, threshold: int) -> np.ndarray:
    return np.where(images < threshold, images, 255 - images)


def _solarize_add(images: np.ndarray, draws: Draws, *, addition: int) -> np.ndarray:
    brighter = np.minimum(images, 255 - addition) + np.uint8(addition)
    return np.where(images < 128, brighter, images)


# ---- away from a duller picture ----


def _away(dull: np.ndarray | int, images: np.ndarray, factor: float) -> np.ndarray:
    """``dull + factor (images - dull)``, cut to 0 and 255, rounded down."""
    start = np.asarray(dull, np.float32)
    moved = start + np.float32(factor) * (images - start)
    return np.clip(moved, 0, 255, out=moved).astype(np.uint8)


def _grey(images: np.ndarray) -> np.ndarray:
    """Luminance, uint8 ``[n, height, width, 1]``."""
    red, green, blue = (
        weight * images[..., channel : channel + 1].astype(np.int32) for channel, weight in enumerate(_GREY_WEIGHTS)
    )
    return ((red + green + blue + 0x8000) >> 16).astype(np.uint8)


def _brightness(images: np.ndarray, draws: Draws, *, factor: float) -> np.ndarray:
    return _away(0, images, factor)


def _color(images: np.ndarray, draws: Draws, *, factor: float) -> np.ndarray:
    return _away(_grey(images), images, factor)


def _contrast(images: np.ndarray, draws: Draws, *, factor: float) -> np.ndarray:
    mean = _grey(images).mean(axis=(1, 2, 3), dtype=np.float64)
    return _away(np.floor(mean + 0.5).reshape(-1, 1, 1, 1), images, factor)


def _sharpness(images: np.ndarray, draws: Draws, *, factor: float) -> np.ndarray:
    """Away from the mean of each pixel (five times) and its eight neighbours; pixels at the border stay."""
    wide = images.astype(np.int32)
    columns = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    sums = columns[:, :, :-2] + columns[:, :, 1:-1] + columns[:, :, 2:] + 4 * wide[:, 1:-1, 1:-1]
    smooth = images.copy()
    smooth[:, 1:-1, 1:-1] = (2 * sums + 13) // 26
    return _away(smooth, images, factor)


# ---- from another place ----


@functools.lru_cache
def _sources(height: int, width: int, matrix: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """For the pixels that an affine map gives a source: their places, and their sources' in the flattened picture.

    ``matrix`` takes the middle of a pixel (x, y, 1) to where its value comes from, ``(x, y) = matrix @``.
    """
    y, x = (axis.ravel() + 0.5 for axis in np.mgrid[:height, :width])
    a, b, c, d, e, f = matrix
    column, row = np.floor(a * x + b * y + c).astype(np.int64), np.floor(d * x + e * y + f).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.flatnonzero(inside), (row * width + column)[inside]


def _moved(images: np.ndarray, draws: Draws, matrix_of: Callable[[int, int, int], tuple[float, ...]]) -> np.ndarray:
    """The nearest pixel from where ``matrix_of(sign, height, width)`` says, FILL from outside."""
    height, width, channels = images.shape[1:]
    flat = images.reshape(len(images), height * width, channels)
    result = np.full_like(flat, FILL)
    for sign in (-1, 1):
        which = np.flatnonzero(draws.sign == sign)
        places, sources = _sources(height, width, matrix_of(sign, height, width))
        result[which[:, None], places] = flat[which[:, None], sources]
    return result.reshape(images.shape)


def _rotate(images: np.ndarray, draws: Draws, *, degrees: float) -> np.ndarray:
    def matrix(sign: int, height: int, width: int) -> tuple[float, ...]:
        cos, sin = math.cos(math.radians(degrees)), sign * math.sin(math.radians(degrees))
        x, y = width / 2, height / 2
        return cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y

    return _moved(images, draws, matrix)


def _shear_x(images: np.ndarray, draws: Draws, *, slope: float) -> np.ndarray:
    return _moved(images, draws, lambda sign, height, width: (1.0, sign * slope, 0.0, 0.0, 1.0, 0.0))


def _shear_y(images: np.ndarray, draws: Draws, *, slope: float) -> np.ndarray:
    return _moved(images, draws, lambda sign, height, width: (1.0, 0.0, 0.0, sign * slope, 1.0, 0.0))


def _translate_x(images: np.ndarray, draws: Draws, *, share: float) -> np.ndarray:
    return _moved(images, draws, lambda sign, height, width: (1.0, 0.0, sign * int(share * width), 0.0, 1.0, 0.0))


def _translate_y(images: np.ndarray, draws: Draws, *, share: float) -> np.ndarray:
    return _moved(images, draws, lambda sign, height, width: (1.0, 0.0, 0.0, 0.0, 1.0, sign * int(share * height)))


def _cutout(images: np.ndarray, draws: Draws, *, share: float) -> np.ndarray:
    """A square of FILL, cut at the border; its half side is ``share`` of the picture's height."""
    height, width = images.shape[1:3]
    half = int(share * height)
    result = images.copy()
    for image, (row, column) in zip(result, (draws.place * (height, width)).astype(int), strict=True):
        image[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = FILL
    return result


_SIDE = 224
"""Of the pictures for which the lengths in pixels are meant; smaller pictures get the same shares of theirs."""

OPERATIONS: Mapping[str, Operation] = {
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
    "Invert": _invert,
    "Rotate": functools.partial(_rotate, degrees=30.0),
    "Posterize": functools.partial(_posterize, bits=4),
    "Solarize": functools.partial(_solarize, threshold=256),
    "SolarizeAdd": functools.partial(_solarize_add, addition=110),
    "Color": functools.partial(_color, factor=1.9),
    "Contrast": functools.partial(_contrast, factor=1.9),
    "Brightness": functools.partial(_brightness, factor=1.9),
    "Sharpness": functools.partial(_sharpness, factor=1.9),
    "ShearX": functools.partial(_shear_x, slope=0.3),
    "ShearY": functools.partial(_shear_y, slope=0.3),
    "TranslateX": functools.partial(_translate_x, share=100 / _SIDE),
    "TranslateY": functools.partial(_translate_y, share=100 / _SIDE),
    "Cutout": functools.partial(_cutout, share=40 / _SIDE),
}
"""AlgoPerf's operations at their strengths. Its Solarize inverts what is at or above 256, which is nothing."""
