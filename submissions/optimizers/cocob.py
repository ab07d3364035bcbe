"""COCOB: a game of betting on each coordinate's gradient, with no step size at all (learning-rate-free).

Orabona & Tommasi 2017 (arXiv 1705.07795), algorithm 2: the adaptive form for networks, which learns the scale of each
coordinate's gradients. ``alpha`` holds back the first bets (100 in the paper). ``learning_rate`` multiplies the
gradients, as in optax; a constant one changes nothing, and a schedule weighs the gradients against each other. Weight
decay is L2: it goes through the gradient, as in optax.

Kasimbeg et al. 2025 (arXiv 2505.24005) compare learning-rate-free methods at literature defaults and at one
configuration for all workloads. The abstract does not say in which forms: chosen here are optax.contrib's, which for
COCOB is this one.
"""

from __future__ import annotations

from typing import Any

from submissions.components import POSITIVE

DEFAULTS = {"learning_rate": 1.0, "alpha": 100.0, "epsilon": 1e-8, "weight_decay": 0.0}
BOUNDS = {"alpha": POSITIVE}
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 5
"""Where it started, the largest gradient, the sums of gradients and of their absolute values, and the reward."""


def torch(parameters: Any, learning_rate: float, alpha: float, epsilon: float, weight_decay: float):
    from submissions.optimizers._cocob_torch import Cocob

    tensors = (tensor for _, tensor in parameters)
    return Cocob(tensors, learning_rate, alpha=alpha, epsilon=epsilon, weight_decay=weight_decay)


def jax(parameters: Any, learning_rate: Any, alpha: float, epsilon: float, weight_decay: float):
    import optax

    return optax.contrib.cocob(learning_rate, alpha, epsilon, weight_decay)
