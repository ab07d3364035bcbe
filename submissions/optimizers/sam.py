"""SAM: AdamW with the gradient of the worst point nearby.

Foret et al. 2021 (arXiv 2010.01412, algorithm 1, equation 2): the gradient is taken again at ``rho`` along itself, and
AdamW steps with it from where it was. Two gradients of the same batch for each step.
"""

from __future__ import annotations

from typing import Any

from submissions.components import NOT_NEGATIVE
from submissions.optimizers import adamw

DEFAULTS = {**adamw.DEFAULTS, "rho": 0.05}
BOUNDS = {"rho": NOT_NEGATIVE}
NEEDS = ("gradient",)
STATE_PER_PARAMETER = 2
TINY = 1e-12
"""Added to the gradient's norm."""


def torch(
    parameters: Any,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    rho: float,
):
    from submissions.optimizers._sam_torch import SamAdamW

    tensors = [tensor for _, tensor in parameters]
    of_adamw = {"lr": learning_rate, "betas": (beta1, beta2), "eps": epsilon, "weight_decay": weight_decay}
    return SamAdamW(tensors, rho, **of_adamw, fused=True)


def jax(
    parameters: Any,
    learning_rate: Any,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    rho: float,
):
    import jax
    import optax

    base = optax.adamw(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)

    def update(updates: Any, state: Any, params: Any, *, grad_fn: Any, **_: Any) -> tuple[Any, Any]:
        scale = rho / (optax.tree.norm(updates) + TINY)
        nearby = jax.tree.map(lambda p, gradient: p + scale * gradient, params, updates)
        return base.update(grad_fn(nearby), state, params)

    return optax.GradientTransformationExtraArgs(base.init, update)
