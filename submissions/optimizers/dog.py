"""DoG: SGD whose step is the distance from the start over the root of all squared gradients (learning-rate-free).

Ivgi et al. 2023 (arXiv 2302.12022). ``learning_rate`` multiplies that step and is 1 in the paper. ``relative_start`` is
the first distance, as a share of 1 + norm of the initial parameters (the authors' 1e-6; they advise 1e-4 with batch
normalisation). The authors evaluate at an average of the iterates: the averaging ``polynomial_decay``. Weight decay is
L2: it goes through the gradient, as in optax.
"""

from __future__ import annotations

from typing import Any

from submissions.components import POSITIVE

DEFAULTS = {"learning_rate": 1.0, "relative_start": 1e-6, "epsilon": 1e-8, "weight_decay": 0.0}
BOUNDS = {"relative_start": POSITIVE}
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 1
"""Where it started."""


def torch(parameters: Any, learning_rate: float, relative_start: float, epsilon: float, weight_decay: float):
    from submissions.optimizers._distance_torch import DoG

    tensors = (tensor for _, tensor in parameters)
    return DoG(tensors, learning_rate, relative_start=relative_start, epsilon=epsilon, weight_decay=weight_decay)


def jax(parameters: Any, learning_rate: Any, relative_start: float, epsilon: float, weight_decay: float):
    import optax

    return optax.contrib.dog(learning_rate, ("heuristic", relative_start), epsilon, weight_decay)
