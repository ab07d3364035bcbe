"""Generalized Adam: Adam with a root of any order, Nesterov momentum or not.

AlgoPerf's competition entry of that name (Dahl et al. 2023, arXiv 2306.07179, has the benchmark; the update is that of
table 1 in Choi et al. 2019, arXiv 1910.05446, with the square root replaced by the root of order ``power``): power 2 is
Adam, and a large power is momentum SGD with bias correction. Decoupled weight decay, multiplied by the learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from submissions.components import POSITIVE
from submissions.recipes import At, Recipe, builders, moments, zeros

DEFAULTS = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "power": 2.0,
    "nesterov": True,
    "weight_decay": 0.0,
}
BOUNDS = {"power": POSITIVE}
STATE_PER_PARAMETER = 2


def update(
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    beta1: float,
    beta2: float,
    epsilon: float,
    power: float,
    nesterov: bool,
) -> tuple[Any, dict[str, Any]]:
    mean, square = moments(gradient, state, beta1, beta2)
    ahead = beta1 * mean + (1 - beta1) * gradient if nesterov else mean
    corrected = square / (1 - beta2**at.step)
    root = xp.sqrt(corrected) if power == 2 else corrected ** (1 / power)
    direction = ahead / (1 - beta1**at.step) / (root + epsilon)
    return at.rate * direction, {"mean": mean, "square": square}


torch, jax = builders(Recipe(zeros("mean", "square"), update), DEFAULTS)
