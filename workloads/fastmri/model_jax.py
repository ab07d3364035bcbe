"""The U-Net in jax."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from workloads.fastmri.architecture import INSTANCE_NORM_EPS, LAYER_NORM_EPS, LEAK, OUTPUT, Architecture, Block
from workloads.layers_jax import ACTIVATIONS, Scope, conv, dropout, matmul

Layer = Callable[[jax.Array], jax.Array]
_ACTIVATIONS: Mapping[str, Layer] = {
    **ACTIVATIONS,
    "leaky_relu": functools.partial(jax.nn.leaky_relu, negative_slope=LEAK),
}


def apply(
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    model_state: Any,
    batch: Mapping[str, jax.Array],
    *,
    train: bool,
    rng: jax.Array | None,
    dropout_rate: Any,
    update_batch_norm: bool,
) -> tuple[jax.Array, Any]:
    """Images ``[B, H, W]`` -> images ``[B, H, W]``."""
    scope, a = Scope(params), Architecture.of(config)
    activation = _ACTIVATIONS[config["activation"]]
    keys = iter([] if rng is None else jax.random.split(rng, 2 * len(a.blocks())))

    def dropped(x: jax.Array) -> jax.Array:
        """Without some channels, whole ones."""
        mask_shape = (x.shape[0], 1, 1, x.shape[3])
        return dropout(x, dropout_rate, next(keys, None), train=train, mask_shape=mask_shape)

    def convolved(block: Block, x: jax.Array) -> jax.Array:
        for index, _, _ in block.convolutions():
            x = conv(scope[block.name][f"Conv_{index}"], x)
            x = _map_norm(scope[block.name][f"LayerNorm_{index}"], x) if a.layer_norm else _instance_norm(x)
            x = dropped(activation(x))
        return x

    x, skipped = batch["inputs"][..., None], []
    for block in a.down:
        x = convolved(block, x)
        skipped.append(x)
        x = _halved(x)
    x = convolved(a.middle, x)
    for block in a.up:
        x = activation(_instance_norm(_doubled(scope[block.name]["ConvTranspose_0"], x)))
        skip = skipped.pop()
        x = convolved(block, jnp.concatenate((_fitted(x, skip), skip), axis=-1))
    return conv(scope[OUTPUT], x)[..., 0], model_state


def _halved(x: jax.Array) -> jax.Array:
    """Means of squares of four; what is over at an odd end is left out."""
    height, width = x.shape[1] // 2, x.shape[2] // 2
    squares = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2, -1)
    return squares.mean(axis=(2, 4))


def _doubled(scope: Scope, x: jax.Array) -> jax.Array:
    """Transposed convolution: each place becomes a square of four, by a kernel ``[2, 2, in, out]``."""
    kernel = scope.value("kernel")
    count, height, width, inputs = x.shape
    flat = matmul(x, kernel.transpose(2, 0, 1, 3).reshape(inputs, -1))
    squares = flat.reshape(count, height, width, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    return scope.record(squares.reshape(count, 2 * height, 2 * width, -1))


def _fitted(x: jax.Array, skipped: jax.Array) -> jax.Array:
    """``x`` at the size of ``skipped``: an odd end is mirrored."""
    missing = [(0, skipped.shape[axis] - x.shape[axis]) for axis in (1, 2)]
    return jnp.pad(x, [(0, 0), *missing, (0, 0)], mode="reflect") if any(after for _, after in missing) else x


def _instance_norm(x: jax.Array) -> jax.Array:
    """Normalises every channel of every example (Ulyanov et al. 2016, arXiv 1607.08022)."""
    return _normalised(x, (1, 2), INSTANCE_NORM_EPS)


def _map_norm(scope: Scope, x: jax.Array) -> jax.Array:
    """Normalises every example over places and channels, with a scale and a bias per channel."""
    return _normalised(x, (1, 2, 3), LAYER_NORM_EPS) * scope.value("scale") + scope.value("bias")


def _normalised(x: jax.Array, axes: tuple[int, ...], eps: float) -> jax.Array:
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(axis=axes, keepdims=True) + eps)
