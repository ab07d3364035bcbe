"""Schedule-Free AdamW: averaging of the iterates in the place of a decaying learning rate.

Defazio et al. 2024 (arXiv 2405.15682). Gradients are taken at y, between the fast iterate z and the average x; x is
what is evaluated. Weight decay acts at y, decoupled and multiplied by the learning rate. Meant for a schedule that
warms up and then holds (``warmup_stable_decay`` with ``decay_fraction: 0``).

optax's own ``schedule_free_adamw`` reads a schedule one step later for the average's weights than for the step, so
the jax version puts the pieces together with one count.
"""

from __future__ import annotations

from typing import Any

from submissions.components import Interval

DEFAULTS = {"learning_rate": 2.5e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}
STATE_PER_PARAMETER = 2
BOUNDS = {"beta1": Interval(0, 1, open_low=True)}
"""x is recovered from y by a division by beta1."""


def torch(parameters: Any, learning_rate: float, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    from schedulefree import AdamWScheduleFree

    tensors = [tensor for _, tensor in parameters]
    return AdamWScheduleFree(tensors, learning_rate, (beta1, beta2), epsilon, weight_decay)


def torch_train(optimizer: Any) -> None:
    optimizer.train()


def torch_eval(optimizer: Any) -> None:
    optimizer.eval()


def jax(parameters: Any, learning_rate: Any, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    import optax

    base = optax.chain(
        optax.scale_by_rms(beta2, epsilon, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    from_one = (lambda count: learning_rate(count - 1)) if callable(learning_rate) else learning_rate
    return optax.contrib.schedule_free(base, from_one, b1=beta1)


def jax_eval(state: Any, params: Any) -> Any:
    import optax

    return optax.contrib.schedule_free_eval_params(state, params)
