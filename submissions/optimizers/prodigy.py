"""Prodigy: D-Adaptation that weighs recent gradients more, so that its rate grows faster (learning-rate-free).

Mishchenko & Defazio 2024 (arXiv 2306.06101), the Adam form. ``learning_rate`` multiplies the rate that the method finds
and is 1 in the paper; it is what a schedule acts on. ``initial_rate`` is the first estimate (d0) and ``growth`` the
factor of each estimate (d_coef), 1e-6 and 1 in the authors' code. Decoupled weight decay, multiplied by the rate that
is found and by Adam's bias correction, as in optax.
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
    "growth": 1.0,
    "weight_decay": 0.0,
}
BOUNDS = {"initial_rate": POSITIVE, "growth": POSITIVE}
DECOUPLED_DECAY = False
STATE_PER_PARAMETER = 4
"""Where it started, Adam's two averages, and a weighted sum of the gradients."""


def torch(
    parameters: Any,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    initial_rate: float,
    growth: float,
    weight_decay: float,
):
    from submissions.optimizers._estimated_rate_torch import Prodigy

    return Prodigy(
        (tensor for _, tensor in parameters),
        learning_rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        initial_rate=initial_rate,
        growth=growth,
        weight_decay=weight_decay,
    )


def jax(
    parameters: Any,
    learning_rate: Any,
    beta1: float,
    beta2: float,
    epsilon: float,
    initial_rate: float,
    growth: float,
    weight_decay: float,
):
    import optax

    from submissions.optimizers._estimated_rate_jax import from_rest

    return from_rest(
        optax.contrib.prodigy(
            learning_rate,
            (beta1, beta2),
            eps=epsilon,
            estim_lr0=initial_rate,
            estim_lr_coef=growth,
            weight_decay=weight_decay,
        )
    )
