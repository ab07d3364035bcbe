"""MoMo: SGD with momentum whose step goes to where an average model of the loss meets its lower bound.

Schaipp et al. 2024 (arXiv 2305.07583). The step is a Polyak step from the averages (by ``beta``) of losses and
gradients, and at most ``learning_rate``, which is meant to be large (1 in the authors' code). ``lower_bound`` is of the
training loss: 0, as in the paper. Weight decay is proximal: it divides by 1 + learning rate * weight decay.
"""

from __future__ import annotations

from typing import Any

from submissions.components import BELOW_ONE, NOT_NEGATIVE

DEFAULTS = {"learning_rate": 1.0, "beta": 0.9, "lower_bound": 0.0, "weight_decay": 0.0}
BOUNDS = {"beta": BELOW_ONE, "lower_bound": NOT_NEGATIVE}
NEEDS = ("loss",)
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 1
"""The average gradient."""


def torch(parameters: Any, learning_rate: float, beta: float, lower_bound: float, weight_decay: float):
    from submissions.optimizers._polyak_torch import Momo

    tensors = (tensor for _, tensor in parameters)
    return Momo(tensors, learning_rate, beta=beta, lower_bound=lower_bound, weight_decay=weight_decay)


def jax(parameters: Any, learning_rate: Any, beta: float, lower_bound: float, weight_decay: float):
    import optax

    return optax.contrib.momo(learning_rate, beta, lower_bound, weight_decay)
