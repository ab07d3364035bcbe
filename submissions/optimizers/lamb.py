"""LAMB: Adam whose step is as long as a share of the parameter.

You et al. 2020 (arXiv 1904.00962, algorithm 2). Each parameter's direction is scaled to the norm of the parameter
itself (to 1 times its own where either norm is 0). As in the paper, weight decay is part of the direction before it is
scaled, so that it counts relative to Adam's step, and does nothing of its own at zero gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from submissions.recipes import At, Recipe, adam, builders, moments, norm, zeros

DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-6, "weight_decay": 0.0}
STATE_PER_PARAMETER = 2
DECOUPLED_DECAY = False


def update(
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[Any, dict[str, Any]]:
    mean, square = moments(gradient, state, beta1, beta2)
    direction = adam(xp, mean, square, at.step, beta1, beta2, epsilon) + weight_decay * at.value
    length, size = norm(xp, direction), norm(xp, at.value)
    ratio = xp.where((length > 0) & (size > 0), size / xp.where(length > 0, length, 1.0), 1.0)
    return at.rate * ratio * direction, {"mean": mean, "square": square}


torch, _ = builders(Recipe(zeros("mean", "square"), update, layout="array", decays=True), DEFAULTS)


def jax(parameters: Any, learning_rate: Any, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    import optax

    return optax.lamb(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)
