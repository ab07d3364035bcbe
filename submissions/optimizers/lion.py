"""Lion: the sign of an interpolated momentum, found by program search.

Chen et al. 2023 (arXiv 2302.06675), algorithm 2; decoupled weight decay multiplied by the learning rate.
"""

from __future__ import annotations

from typing import Any

DEFAULTS = {"learning_rate": 3e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}
STATE_PER_PARAMETER = 1


def torch(parameters: Any, learning_rate: float, beta1: float, beta2: float, weight_decay: float):
    from submissions.optimizers._lion_torch import Lion

    return Lion([tensor for _, tensor in parameters], learning_rate, beta1, beta2, weight_decay)


def jax(parameters: Any, learning_rate: Any, beta1: float, beta2: float, weight_decay: float):
    import optax

    return optax.lion(learning_rate, beta1, beta2, weight_decay=weight_decay)
