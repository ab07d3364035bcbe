"""D-Adaptation (AdamW): Adam whose rate is a growing lower bound of the distance to the solution (learning-rate-free).

Defazio & Mishchenko 2023 (arXiv 2301.07733). ``learning_rate`` multiplies the rate that the method finds and is 1 in
the paper; it is what a schedule acts on. ``initial_rate`` is the first bound (d0, 1e-6 in the authors' code). Decoupled
weight decay, multiplied by the rate that is found and by Adam's bias correction, as in optax.
"""

from __future__ import annotations

from typing import Any

from submissions.components import POSITIVE

DEFAULTS = {
    "learning_rate": 1.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "initial_rate": 1e-6,
    "weight_decay": 0.0,
}
BOUNDS = {"initial_rate": POSITIVE}
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 3
"""Adam's two averages, and a weighted sum of the gradients."""


def torch(
    parameters: Any,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    initial_rate: float,
    weight_decay: float,
):
    from submissions.optimizers._estimated_rate_torch import DAdaptAdam

    return DAdaptAdam(
        (tensor for _, tensor in parameters),
        learning_rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        initial_rate=initial_rate,
        weight_decay=weight_decay,
    )


def jax(
    parameters: Any,
    learning_rate: Any,
    beta1: float,
    beta2: float,
    epsilon: float,
    initial_rate: float,
    weight_decay: float,
):
    import optax

    from submissions.optimizers._estimated_rate_jax import from_rest

    return from_rest(optax.contrib.dadapt_adamw(learning_rate, (beta1, beta2), epsilon, initial_rate, weight_decay))
