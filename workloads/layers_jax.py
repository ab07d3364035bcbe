"""Layers of the jax models: functions of a ``Scope``, which is a place in the nested dict of parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harness.spec import Shape, record_layer
from workloads.convolutions import Padding, paddings


@dataclasses.dataclass(frozen=True)
class Scope:
    """Parameters below a dotted path. ``scope["Dense_0"]`` goes down, ``scope.value("bias")`` reads."""

    params: Mapping[str, Any]
    path: str = ""

    def __getitem__(self, name: str) -> Scope:
        return Scope(self.params[name], f"{self.path}{name}.")

    def value(self, leaf: str) -> jax.Array:
        return self.params[leaf]

    def record(self, output: jax.Array) -> jax.Array:
        """Tells the harness the output of the layer whose kernel is here; returns it."""
        record_layer(f"{self.path}kernel", output)
        return output


def dense(scope: Scope, x: jax.Array) -> jax.Array:
    """``[..., in] -> [..., out]``, with a bias where one is declared."""
    y = matmul(x, scope.value("kernel"))
    return scope.record(y + scope.value("bias") if "bias" in scope.params else y)


def dense_general(scope: Scope, x: jax.Array, inputs: int = 1) -> jax.Array:
    """Contracts the last ``inputs`` axes of ``x`` with the first of the kernel, with a bias where one is declared."""
    kernel = scope.value("kernel")
    contracted, outputs = kernel.shape[:inputs], kernel.shape[inputs:]
    size = math.prod(contracted)
    y = matmul(x.reshape(*x.shape[: x.ndim - inputs], size), kernel.reshape(size, -1))
    y = y + scope.value("bias").reshape(-1) if "bias" in scope.params else y
    return scope.record(y.reshape(*y.shape[:-1], *outputs))


def matmul(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """``[..., in] -> [..., out]`` as one product of matrices; XLA's batched gradient is twice as slow on CPU."""
    return (x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], matrix.shape[-1])


def embed(scope: Scope, ids: jax.Array) -> jax.Array:
    """``[...] of ids -> [..., features]``; ids must be below the table's length."""
    return scope.value("embedding").at[ids].get(mode="promise_in_bounds")


def conv(scope: Scope, x: jax.Array, *, stride: int = 1, padding: Padding = "SAME", groups: int = 1) -> jax.Array:
    """``[B, *space, in] -> [B, *space, out]`` with a kernel ``[*window, in / groups, out]``, with a bias where one is
    declared. ``padding`` is ``"SAME"``, ``"VALID"``, or a number of entries on both sides of every axis."""
    kernel = scope.value("kernel")
    axes = kernel.ndim - 2
    space = "HW"[:axes]
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride,) * axes,
        paddings(x.shape[1:-1], kernel.shape[:-2], stride, padding),
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=groups,
    )
    return scope.record(y + scope.value("bias") if "bias" in scope.params else y)


class Statistics:
    """The model's state in one forward pass: the running statistics that came in, and what training makes of them.

    Made, filled and read within one call of ``apply``, which stays a pure function.
    """

    def __init__(self, model_state: Mapping[str, Any], *, train: bool, update: bool | None) -> None:
        """``update`` is None where training is to use the running statistics."""
        self.train = train and update is not None
        self._given = model_state
        self._renewed: dict[str, Any] | None = jax.tree.map(lambda x: x, model_state) if train and update else None

    def running(self, path: str) -> Mapping[str, jax.Array]:
        """``mean`` and ``var`` of the layer at a dotted path."""
        return _at(self._given["batch_stats"], path)

    def renew(self, path: str, decay: float, **observed: jax.Array) -> None:
        """Keeps ``decay`` of the old statistics and takes the rest from those observed in a batch."""
        if self._renewed is None:
            return
        place, before = _at(self._renewed["batch_stats"], path), self.running(path)
        for name, value in observed.items():
            place[name] = decay * before[name] + (1.0 - decay) * jax.lax.stop_gradient(value)

    def state(self) -> Any:
        """The new model state."""
        return self._given if self._renewed is None else self._renewed


def _at(tree: Any, path: str) -> Any:
    for part in path.strip(".").split("."):
        tree = tree[part]
    return tree


def batch_norm(scope: Scope, statistics: Statistics, x: jax.Array, *, decay: float, eps: float) -> jax.Array:
    """Normalises each channel of ``[B, *space, channels]`` over all other axes (Ioffe & Szegedy 2015).

    The running variance takes the unbiased variance of the batch, as torch's kernel does.
    """
    if not statistics.train:
        running = statistics.running(scope.path)
        mean, var = running["mean"], running["var"]
        centred = x - mean
    else:
        axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
        mean = x.mean(axes)
        centred = x - mean
        var = jnp.square(centred).mean(axes)
        statistics.renew(scope.path, decay, mean=mean, var=var * (count / max(count - 1, 1)))
    return centred * (jax.lax.rsqrt(var + eps) * scope.value("scale")) + scope.value("bias")


def layer_norm(scope: Scope, x: jax.Array, eps: float) -> jax.Array:
    """Normalises the last axis (Ba et al. 2016), with a scale and a bias per feature."""
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    return centred * inverse * scope.value("scale") + scope.value("bias")


def rms_norm(scope: Scope, x: jax.Array, eps: float) -> jax.Array:
    """Divides the last axis by its root mean square (Zhang & Sennrich 2019, arXiv 1910.07467), with a scale."""
    return x * jax.lax.rsqrt((x * x).mean(axis=-1, keepdims=True) + eps) * scope.value("scale")


def dropout(
    x: jax.Array, rate: Any, rng: jax.Array | None, *, train: bool, mask_shape: Shape | None = None
) -> jax.Array:
    """Zeroes a fraction ``rate`` of the entries in training and rescales the others; ``rate`` may be traced. Entries
    that share a place in ``mask_shape``, which broadcasts, are zeroed together."""
    static = isinstance(rate, (int, float))
    if not train or (static and rate == 0) or rng is None:
        return x
    kept = jax.random.uniform(rng, mask_shape or x.shape) >= rate
    return jnp.where(kept, x / jnp.maximum(1.0 - rate, jnp.finfo(x.dtype).tiny), 0.0)


ACTIVATIONS = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""Activation functions by the name used in model configurations."""
