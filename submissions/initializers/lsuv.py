"""LSUV: layer-sequential unit-variance initialisation.

Mishkin & Matas 2016 (arXiv 1511.06422, algorithm 1): orthonormal kernels, then, in the order of the forward pass,
each kernel is divided by the standard deviation of its layer's outputs on one training batch until their variance is
1 within ``tolerance`` or ``max_iterations`` have passed. The output layer is a layer like the others; embeddings keep
the workload's values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from harness.spec import Parameter
from submissions.initializers.orthogonal import orthogonal_kernel
from submissions.kernels import is_kernel

DEFAULTS = {"tolerance": 0.01, "max_iterations": 10}


def initialize(
    values: Mapping[str, np.ndarray],
    parameters: Sequence[Parameter],
    rng: np.random.RandomState,
    layer_outputs: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    tolerance: float,
    max_iterations: int,
) -> dict[str, np.ndarray]:
    """See the module.

    Raises:
      FloatingPointError: a layer's outputs are all equal, or not finite, so that no scale gives them unit variance.
    """
    kernels = {p.name: orthogonal_kernel(rng, p).astype(np.float32) for p in parameters if is_kernel(p)}
    current = {**values, **kernels}
    outputs = layer_outputs(current)
    for name in [name for name in outputs if name in kernels]:
        for _ in range(int(max_iterations)):
            variance = float(np.var(outputs[name], dtype=np.float64))
            if not (np.isfinite(variance) and variance > 0):
                raise FloatingPointError(f"LSUV: the outputs of {name} have variance {variance}; it cannot be made 1")
            if abs(variance - 1) <= tolerance:
                break
            current[name] = (current[name] / np.sqrt(variance)).astype(np.float32)
            outputs = layer_outputs(current)
    return current
