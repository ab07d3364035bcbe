"""NAdamW: AdamW with Nesterov momentum, the winner of AlgoPerf's target setting.

Dozat 2016 (openreview OM0jvwB8jIp57ZJjtNEZ), with decoupled weight decay multiplied by the learning rate. The momentum
is constant, as in AlgoPerf's NAdamW and optax: torch's NAdam multiplies it by ``1 - 0.96^(t * momentum_decay) / 2``,
which is exactly 1 once ``momentum_decay`` is so large that the power underflows.
"""

from __future__ import annotations

from typing import Any

DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}
STATE_PER_PARAMETER = 2
_UNDERFLOW = 1e6


def torch(parameters: Any, learning_rate: float, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    from torch.optim import NAdam

    return NAdam(
        [tensor for _, tensor in parameters],
        learning_rate,
        (beta1, beta2),
        epsilon,
        weight_decay,
        momentum_decay=_UNDERFLOW,
        decoupled_weight_decay=True,
    )


def jax(parameters: Any, learning_rate: Any, beta1: float, beta2: float, epsilon: float, weight_decay: float):
    import optax

    return optax.nadamw(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)
