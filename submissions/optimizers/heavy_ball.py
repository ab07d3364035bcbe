"""Heavy ball: SGD with Polyak's momentum.

Polyak 1964 ("Some methods of speeding up the convergence of iteration methods"); the form without dampening of
Sutskever et al. 2013. Weight decay is decoupled and multiplied by the learning rate, as in ``sgd_nesterov``.
"""

from __future__ import annotations

from typing import Any

DEFAULTS = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0}
STATE_PER_PARAMETER = 1


def torch(parameters: Any, learning_rate: float, momentum: float, weight_decay: float):
    from submissions.optimizers._decay_torch import DecayedSGD

    tensors = [tensor for _, tensor in parameters]
    return DecayedSGD(tensors, learning_rate, momentum, weight_decay, fused=True)


def jax(parameters: Any, learning_rate: Any, momentum: float, weight_decay: float):
    import optax

    return optax.chain(
        optax.trace(momentum),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
