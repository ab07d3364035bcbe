"""MoMo-Adam: Adam whose step goes at most to where an average model of the loss meets its lower bound.

Schaipp et al. 2024 (arXiv 2305.07583). MoMo in the metric of Adam's second moments. The step is at most
``learning_rate``, which is meant to be large (1e-2 in the authors' code). ``lower_bound`` is of the training loss: 0,
as in the paper. Weight decay is proximal: it divides by 1 + learning rate * weight decay.
"""

from __future__ import annotations

from typing import Any

from submissions.components import NOT_NEGATIVE

DEFAULTS = {
    "learning_rate": 1e-2,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "lower_bound": 0.0,
    "weight_decay": 0.0,
}
BOUNDS = {"lower_bound": NOT_NEGATIVE}
NEEDS = ("loss",)
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 2
"""Adam's averages."""


def torch(
    parameters: Any,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    lower_bound: float,
    weight_decay: float,
):
    from submissions.optimizers._polyak_torch import MomoAdam

    return MomoAdam(
        (tensor for _, tensor in parameters),
        learning_rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        lower_bound=lower_bound,
        weight_decay=weight_decay,
    )


def jax(
    parameters: Any,
    learning_rate: Any,
    beta1: float,
    beta2: float,
    epsilon: float,
    lower_bound: float,
    weight_decay: float,
):
    import optax

    return optax.contrib.momo_adam(learning_rate, beta1, beta2, epsilon, lower_bound, weight_decay)
