"""SGD with Nesterov momentum.

Sutskever et al. 2013 (ICML, "On the importance of initialization and momentum in deep learning"). Weight decay is
decoupled and multiplied by the learning rate, as in the Adam family here; torch's own ``weight_decay`` would go through
the momentum.
"""

from __future__ import annotations

from typing import Any

DEFAULTS = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0}
STATE_PER_PARAMETER = 1


def torch(parameters: Any, learning_rate: float, momentum: float, weight_decay: float):
    from submissions.optimizers._decay_torch import DecayedSGD

    tensors = [tensor for _, tensor in parameters]
    return DecayedSGD(tensors, learning_rate, momentum, weight_decay, nesterov=momentum > 0, fused=True)


def jax(parameters: Any, learning_rate: Any, momentum: float, weight_decay: float):
    import optax

    return optax.chain(
        optax.trace(momentum, nesterov=True),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
