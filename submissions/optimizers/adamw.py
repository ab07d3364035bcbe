"""AdamW: Adam with decoupled weight decay.

Kingma & Ba 2015 (arXiv 1412.6980); Loshchilov & Hutter 2019 (arXiv 1711.05101). The decay is multiplied by the
learning rate and acts on every parameter.
"""

from __future__ import annotations

from typing import Any

DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}
STATE_PER_PARAMETER = 2


def torch(parameters: Any, learning_rate: float, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    from torch.optim import AdamW

    tensors = [tensor for _, tensor in parameters]
    return AdamW(tensors, learning_rate, (beta1, beta2), epsilon, weight_decay, fused=True)


def jax(parameters: Any, learning_rate: Any, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    import optax

    return optax.adamw(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)
