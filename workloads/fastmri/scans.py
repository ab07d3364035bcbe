"""From k-space to what the network sees.

A scan is stored half transformed: its *rows* are places already, its columns still frequencies. Masks are of whole
columns, so that the transform along the rows' axis and the crop of rows need doing once, and a new mask costs one short
transform per row that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

_CLIP = np.float32(6)
_TINY = np.finfo(np.float32).tiny
_PLACES = 1 << 17
"""Places of images that are transformed at a time."""


def to_rows(kspace: np.ndarray, height: int) -> np.ndarray:
    """k-space ``[..., H, W]``, low frequencies in the middle -> complex64 rows ``[..., height, W]``, the central ones.

    The phases are not those of the image: see :func:`magnitude`.
    """
    return _centre(np.fft.ifft(kspace, axis=-2, norm="ortho"), height, axis=-2).astype(np.complex64, copy=False)


def magnitude(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows ``[..., W]`` -> magnitudes of the image's central ``width`` columns, ``[..., width]``.

    To have frequency zero in the middle instead of in front turns the phases of the image, and nothing else; so the
    spectrum is not shifted before the transform.
    """
    return _centre(np.abs(np.fft.ifft(rows, axis=-1, norm="ortho")), width, axis=-1)


def _centre(array: np.ndarray, size: int, axis: int) -> np.ndarray:
    """The central ``size`` places along an axis of a transform that begins with place zero."""
    length = array.shape[axis]
    return array.take((np.arange(size) + (length - size) // 2 - length // 2) % length, axis=axis)


def as_pairs(rows: np.ndarray) -> np.ndarray:
    """complex64 ``[...]`` -> float32 ``[..., 2]``: real and imaginary parts."""
    return np.ascontiguousarray(rows).view(np.float32).reshape(*rows.shape, 2)


def reconstruct(batch: Mapping[str, np.ndarray], masks: np.ndarray, side: int) -> dict[str, np.ndarray]:
    """Stored scans, seen through masks.

    Args:
      batch: ``inputs`` float32 ``[B, side, W, 2]``, rows as pairs; ``targets`` ``[B, side, side]``, the images to find;
        ``width`` ``[B]``, how many of the W columns are an example's own, where they differ.
      masks: bool ``[B, W]``.

    Returns:
      ``inputs`` ``[B, side, side]``, each image less its mean, over its standard deviation, clipped to ±6; ``targets``
      with the same mean and deviation; ``mean`` and ``std`` ``[B]``; the other arrays unchanged. float32.
    """
    rows = batch["inputs"].view(np.complex64)[..., 0]
    images = np.empty((len(rows), side, side), np.float32)
    for width, chosen in _parts(batch, side):
        images[chosen] = magnitude(rows[chosen, :, :width] * masks[chosen, None, :width], side)
    mean = images.mean(axis=(1, 2), keepdims=True)
    std = np.maximum(images.std(axis=(1, 2), keepdims=True), _TINY)
    return {
        **{name: array for name, array in batch.items() if name != "width"},
        "inputs": np.clip((images - mean) / std, -_CLIP, _CLIP),
        "targets": np.clip((batch["targets"] - mean) / std, -_CLIP, _CLIP),
        "mean": mean.reshape(-1),
        "std": std.reshape(-1),
    }


def widths(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Columns of each example, ``[B]``."""
    stored = batch["inputs"]
    return batch["width"] if "width" in batch else np.full(len(stored), stored.shape[2])


def _parts(batch: Mapping[str, np.ndarray], side: int) -> Iterator[tuple[int, np.ndarray]]:
    """Widths, and positions of examples of that width that are few enough to stay in the processor's cache."""
    found = widths(batch)
    for width in map(int, np.unique(found)):
        positions = np.flatnonzero(found == width)
        count = max(1, _PLACES // (side * width))
        yield from ((width, positions[start : start + count]) for start in range(0, len(positions), count))
