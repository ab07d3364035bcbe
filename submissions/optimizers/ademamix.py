"""AdEMAMix: AdamW with a second, much slower average of the gradient.

Pagliardini, Ablin & Grangier 2024 (arXiv 2409.03137, equation AdEMAMix). The slow average starts at zero without
correction and so comes in by itself; the paper's warm-up of ``beta3`` and ``alpha`` for long runs is left out, as in
optax's defaults. Decoupled weight decay, multiplied by the learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from submissions.components import BELOW_ONE, NOT_NEGATIVE
from submissions.recipes import At, Recipe, builders, moments, zeros

DEFAULTS = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "beta3": 0.9999,
    "alpha": 5.0,
    "epsilon": 1e-8,
    "weight_decay": 0.0,
}
BOUNDS = {"beta3": BELOW_ONE, "alpha": NOT_NEGATIVE}
STATE_PER_PARAMETER = 3


def update(
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    beta1: float,
    beta2: float,
    beta3: float,
    alpha: float,
    epsilon: float,
) -> tuple[Any, dict[str, Any]]:
    mean, square = moments(gradient, state, beta1, beta2)
    slow = beta3 * state["slow"] + (1 - beta3) * gradient
    direction = (mean / (1 - beta1**at.step) + alpha * slow) / (xp.sqrt(square / (1 - beta2**at.step)) + epsilon)
    return at.rate * direction, {"mean": mean, "square": square, "slow": slow}


torch, _ = builders(Recipe(zeros("mean", "square", "slow"), update), DEFAULTS)


def jax(
    parameters: Any,
    learning_rate: Any,
    beta1: float,
    beta2: float,
    beta3: float,
    alpha: float,
    epsilon: float,
    weight_decay: float,
):
    import optax

    return optax.contrib.ademamix(learning_rate, beta1, beta2, beta3, alpha, eps=epsilon, weight_decay=weight_decay)
