"""DoWG: normalised gradient descent by the distance from the start over distance-weighted gradients.

Khaled et al. 2023 (arXiv 2305.16284); learning-rate-free. ``learning_rate`` multiplies the step that the method finds
and is 1 in the paper. ``epsilon`` is added to the denominator and is the first guess of the squared distance (1e-4, as
in optax). Weight decay is L2: it goes through the gradient, as in optax.
"""

from __future__ import annotations

from typing import Any

DEFAULTS = {"learning_rate": 1.0, "epsilon": 1e-4, "weight_decay": 0.0}
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 1
"""Where it started."""


def torch(parameters: Any, learning_rate: float, epsilon: float, weight_decay: float):
    from submissions.optimizers._distance_torch import DoWG

    tensors = (tensor for _, tensor in parameters)
    return DoWG(tensors, learning_rate, epsilon=epsilon, weight_decay=weight_decay)


def jax(parameters: Any, learning_rate: Any, epsilon: float, weight_decay: float):
    import optax

    return optax.contrib.dowg(learning_rate, None, epsilon, weight_decay)
