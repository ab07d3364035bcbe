"""Muon: orthogonalised momentum for hidden kernels, AdamW for everything else.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon); the update is scaled by ``0.2 sqrt(max(fan in, fan out))``, so
that it has AdamW's typical size and both halves share learning rate and weight decay (Liu et al. 2025, arXiv
2502.16982, equation 4). Hidden kernels are dense, convolution and attention kernels outside of the output layer, by
declared type; kernels with more than two axes are taken as matrices (fan in, fan out). Embeddings, the output layer,
biases and normalisation scales go to AdamW. Decoupled weight decay, multiplied by the learning rate.

The torch version is our own. ``torch.optim.Muon`` takes matrices only, and orthogonalises in bfloat16, which is five
times slower than float32 on a CPU without bfloat16 units and departs from optax by 1e-2. Ours follows optax,
bias-corrected momentum included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.spec import Parameter
from submissions.kernels import axes, is_kernel, matrix_in_torch, matrix_shape

DEFAULTS = {
    "learning_rate": 1e-3,
    "momentum": 0.95,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.0,
}


def is_hidden_kernel(parameter: Parameter) -> bool:
    return is_kernel(parameter) and not parameter.is_output


def update_scale(parameter: Parameter) -> float:
    """Liu et al. 2025, equation 4: an orthogonal matrix has root mean square ``1 / sqrt(max(fan in, fan out))``."""
    return 0.2 * max(matrix_shape(parameter)) ** 0.5


def state_size(parameters: Iterable[Parameter], **_: float) -> int:
    return sum(parameter.size * (1 if is_hidden_kernel(parameter) else 2) for parameter in parameters)


def torch(
    parameters: Any,
    learning_rate: float,
    momentum: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
):
    from torch.optim import AdamW

    from submissions.optimizers._muon_torch import Joint, Muon

    hidden = [
        {"params": [tensor], "matrix": matrix_in_torch(p, tensor.shape), "scale": update_scale(p)}
        for p, tensor in parameters
        if is_hidden_kernel(p)
    ]
    others = [tensor for p, tensor in parameters if not is_hidden_kernel(p)]
    parts = []
    if hidden:
        parts.append(Muon(hidden, learning_rate, momentum, epsilon, weight_decay))
    if others:
        parts.append(AdamW(others, learning_rate, (beta1, beta2), epsilon, weight_decay, fused=True))
    return Joint(parts)


def jax(
    parameters: Any,
    learning_rate: Any,
    momentum: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
):
    import jax
    import optax

    def of_hidden(value: Any) -> Any:
        return jax.tree.map(lambda p: value(p) if is_hidden_kernel(p) else optax.MaskedNode(), parameters)

    dimensions = of_hidden(lambda p: optax.contrib.MuonDimensionNumbers(*axes(p)))
    scales = of_hidden(update_scale)
    hidden = optax.chain(
        optax.contrib.scale_by_muon(beta=momentum, eps=epsilon, weight_dimension_numbers=dimensions),
        optax.stateless(lambda updates, _: jax.tree.map(lambda update, scale: scale * update, updates, scales)),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    others = optax.adamw(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)
    labels = jax.tree.map(lambda p: "hidden" if is_hidden_kernel(p) else "others", parameters)
    return optax.partition({"hidden": hidden, "others": others}, labels)
