"""Random orthogonal kernels.

Saxe et al. 2014 (arXiv 1312.6120): Q of the QR decomposition of a Gaussian matrix, with the signs of R's diagonal,
which makes it uniform over the orthogonal group (Mezzadri 2007, arXiv math-ph/0609050). A kernel with more than two
axes is taken as a matrix (fan in, fan out); rows are orthonormal where it is wide and columns where it is tall, times
``gain``.

Hidden kernels only. Embeddings, which are looked up and not multiplied, and the output layer, whose scale sets the
first loss, keep the workload's values, as do biases and normalisation scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from harness.spec import Parameter
from submissions.kernels import is_kernel, matrix_shape

DEFAULTS = {"gain": 1.0}


def orthogonal_matrix(rng: np.random.RandomState, rows: int, columns: int) -> np.ndarray:
    """``[rows, columns]`` float64 with orthonormal rows or columns, whichever are fewer."""
    gaussian = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return q if rows >= columns else q.T


def orthogonal_kernel(rng: np.random.RandomState, parameter: Parameter) -> np.ndarray:
    return orthogonal_matrix(rng, *matrix_shape(parameter)).reshape(parameter.shape)


def initialize(
    values: Mapping[str, np.ndarray],
    parameters: Sequence[Parameter],
    rng: np.random.RandomState,
    layer_outputs: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    gain: float,
) -> dict[str, np.ndarray]:
    chosen = [p for p in parameters if is_kernel(p) and not p.is_output]
    return {**values, **{p.name: (gain * orthogonal_kernel(rng, p)).astype(np.float32) for p in chosen}}
