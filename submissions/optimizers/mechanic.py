"""Mechanic: learns the scale of AdamW's or NAdamW's steps from the loss's derivative by it (learning-rate-free).

Cutkosky, Defazio & Mehta 2023 (arXiv 2306.00144). It wraps ``adamw``, or ``nadamw`` where ``nesterov`` is set, at
``learning_rate``: 1 times the schedule, since the scale replaces its size. ``beta1``, ``beta2``, ``epsilon`` and
``weight_decay`` are the wrapped optimizer's; ``scale_decay`` pulls the learners of the scale towards smaller parameters
(1e-2 in the paper), ``initial_scale`` is where each of them starts (1e-6, as in optax; the authors' torch port has
1e-8), and ``scale_epsilon`` keeps their denominators from zero.
"""

from __future__ import annotations

from typing import Any

from submissions.components import NOT_NEGATIVE, POSITIVE

DEFAULTS = {
    "learning_rate": 1.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.0,
    "nesterov": False,
    "scale_decay": 1e-2,
    "initial_scale": 1e-6,
    "scale_epsilon": 1e-8,
}
PARTS = ("adamw", "nadamw")
BOUNDS = {"scale_decay": NOT_NEGATIVE, "initial_scale": POSITIVE, "scale_epsilon": POSITIVE}
DECOUPLED_DECAY = False


def state_size(parameters: Any, **_: Any) -> int:
    """Where each parameter started and the wrapped optimizer's two averages; four numbers of each of six learners."""
    return 3 * sum(parameter.size for parameter in parameters) + 4 * 6


def torch(
    parameters: Any,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    nesterov: bool,
    scale_decay: float,
    initial_scale: float,
    scale_epsilon: float,
):
    from submissions.optimizers._mechanic_torch import Mechanic

    return Mechanic(
        _wrapped(nesterov).torch(parameters, learning_rate, beta1, beta2, epsilon, weight_decay),
        learning_rate,
        scale_decay=scale_decay,
        initial_scale=initial_scale,
        scale_epsilon=scale_epsilon,
    )


def jax(
    parameters: Any,
    learning_rate: Any,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    nesterov: bool,
    scale_decay: float,
    initial_scale: float,
    scale_epsilon: float,
):
    import optax

    wrapped = _wrapped(nesterov).jax(parameters, learning_rate, beta1, beta2, epsilon, weight_decay)
    return optax.contrib.mechanize(wrapped, scale_decay, scale_epsilon, initial_scale)


def _wrapped(nesterov: bool) -> Any:
    from submissions.optimizers import adamw, nadamw

    return nadamw if nesterov else adamw
