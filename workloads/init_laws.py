"""Laws of initial values: ``law(rng, shape) -> float32 array``, with the kernel's last axis as its output.

Values come from ``numpy.random.RandomState``, whose streams are frozen, so that a seed means the same values in both
frameworks and under every numpy release. Every factory returns a ``functools.partial``: laws compare, pickle and print.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from harness.spec import InitLaw, Shape

_CHUNK = 1 << 22
"""Values drawn at a time in float64, so that a table of gigabytes needs little beyond itself."""

_TRUNCATION = 2.0
_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a unit normal truncated at ±2."""


def _filled(shape: Shape, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    flat = np.empty(math.prod(shape), np.float32)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        part[:] = draw(part.size)
    return flat.reshape(shape)


def _constant(rng: np.random.RandomState, shape: Shape, *, value: float) -> np.ndarray:
    return np.full(shape, value, np.float32)


def _normal(rng: np.random.RandomState, shape: Shape, *, std: float) -> np.ndarray:
    return _filled(shape, lambda n: std * rng.standard_normal(n))


def _uniform(rng: np.random.RandomState, shape: Shape, *, low: float, high: float) -> np.ndarray:
    return _filled(shape, lambda n: low + (high - low) * rng.random_sample(n))


def _lecun_normal(rng: np.random.RandomState, shape: Shape, *, fan_in: int | None) -> np.ndarray:
    from scipy.special import ndtr, ndtri

    std = math.sqrt(1.0 / (fan_in or math.prod(shape[:-1]))) / _TRUNCATED_STD
    low, high = ndtr(-_TRUNCATION), ndtr(_TRUNCATION)
    return _filled(shape, lambda n: std * ndtri(low + (high - low) * rng.random_sample(n)))


def _fans(shape: Shape) -> tuple[int, int]:
    receptive_field = math.prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]


def _xavier_uniform(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
    bound = math.sqrt(6.0 / sum(_fans(shape)))
    return _uniform(rng, shape, low=-bound, high=bound)


def _xavier_normal(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
    return _normal(rng, shape, std=math.sqrt(2.0 / sum(_fans(shape))))


def _orthogonal(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
    rows, columns = math.prod(shape[:-1]), shape[-1]
    gaussian = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # without it QR's sign convention would favour some rotations
    return np.ascontiguousarray(q if rows >= columns else q.T, np.float32).reshape(shape)


def _as_matrix(rng: np.random.RandomState, shape: Shape, *, law: InitLaw, inputs: int) -> np.ndarray:
    return law(rng, (math.prod(shape[:inputs]), math.prod(shape[inputs:]))).reshape(shape)


def as_matrix(law: InitLaw, inputs: int) -> InitLaw:
    """``law`` for a kernel whose first ``inputs`` axes are its input and whose others are its output."""
    return functools.partial(_as_matrix, law=law, inputs=inputs)


def constant(value: float) -> InitLaw:
    return functools.partial(_constant, value=value)


zeros = constant(0.0)
ones = constant(1.0)


def normal(std: float) -> InitLaw:
    return functools.partial(_normal, std=std)


def uniform(low: float, high: float) -> InitLaw:
    return functools.partial(_uniform, low=low, high=high)


def lecun_normal(fan_in: int | None = None) -> InitLaw:
    """Normal of variance 1/fan_in after truncation at ±2 standard deviations of the parent (LeCun et al. 1998).

    ``fan_in`` defaults to the product of all axes but the last.
    """
    return functools.partial(_lecun_normal, fan_in=fan_in)


xavier_uniform: InitLaw = _xavier_uniform
"""U(±sqrt(6 / (fan_in + fan_out))), Glorot & Bengio 2010; the last two axes are (in, out), those before a window."""

xavier_normal: InitLaw = _xavier_normal
"""N(0, 2 / (fan_in + fan_out)), Glorot & Bengio 2010."""

orthogonal: InitLaw = _orthogonal
"""A uniformly drawn rotation or reflection (Mezzadri 2007, arXiv math-ph/0609050; as initial values Saxe et al. 2014).

The last axis is one side of the matrix, the others together the other; vectors along the shorter side are orthonormal.
"""
