"""Schedule-Free SGD: averaging of the iterates in the place of momentum and of a decaying learning rate.

Defazio et al. 2024 (arXiv 2405.15682, equations 3-5). Gradients are taken at y, between the fast iterate z and the
average x; x is what is evaluated. Weight decay acts at y, decoupled and multiplied by the learning rate. Meant for a
schedule that warms up and then holds; ``schedule_free_adamw`` says why the jax version is put together here.
"""

from __future__ import annotations

from typing import Any

from submissions.components import Interval
from submissions.optimizers.schedule_free_adamw import jax_eval, torch_eval, torch_train

__all__ = ["BOUNDS", "DEFAULTS", "jax", "jax_eval", "torch", "torch_eval", "torch_train"]
DEFAULTS = {"learning_rate": 1.0, "momentum": 0.9, "weight_decay": 0.0}
BOUNDS = {"momentum": Interval(0, 1, open_low=True)}
STATE_PER_PARAMETER = 1


def torch(parameters: Any, learning_rate: float, momentum: float, weight_decay: float):
    from schedulefree import SGDScheduleFree

    return SGDScheduleFree([tensor for _, tensor in parameters], learning_rate, momentum, weight_decay)


def jax(parameters: Any, learning_rate: Any, momentum: float, weight_decay: float):
    import optax

    base = optax.chain(optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(learning_rate))
    from_one = (lambda count: learning_rate(count - 1)) if callable(learning_rate) else learning_rate
    return optax.contrib.schedule_free(base, from_one, b1=momentum)
