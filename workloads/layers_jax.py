"""Layers of the jax models: functions of a ``Scope``, which is a place in the nested dict of parameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harness.spec import record_layer


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


def layer_norm(scope: Scope, x: jax.Array, eps: float) -> jax.Array:
    """Normalises the last axis (Ba et al. 2016), with a scale and a bias per feature."""
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    return centred * inverse * scope.value("scale") + scope.value("bias")


def rms_norm(scope: Scope, x: jax.Array, eps: float) -> jax.Array:
    """Divides the last axis by its root mean square (Zhang & Sennrich 2019, arXiv 1910.07467), with a scale."""
    return x * jax.lax.rsqrt((x * x).mean(axis=-1, keepdims=True) + eps) * scope.value("scale")


def dropout(x: jax.Array, rate: Any, rng: jax.Array | None, *, train: bool) -> jax.Array:
    """Zeroes a fraction ``rate`` of the entries in training and rescales the others; ``rate`` may be traced."""
    static = isinstance(rate, (int, float))
    if not train or (static and rate == 0) or rng is None:
        return x
    kept = jax.random.uniform(rng, x.shape) >= rate
    return jnp.where(kept, x / jnp.maximum(1.0 - rate, jnp.finfo(x.dtype).tiny), 0.0)


ACTIVATIONS = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""Activation functions by the name used in model configurations."""
