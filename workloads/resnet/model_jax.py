"""Residual networks in jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from workloads.layers_jax import ACTIVATIONS, Scope, Statistics, batch_norm, conv, dense
from workloads.resnet.architecture import DECAY, EPSILON, POOL, Architecture, Block, Convolution

Activation = Callable[[jax.Array], jax.Array]


def apply(
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    model_state: Any,
    batch: Mapping[str, jax.Array],
    *,
    train: bool,
    rng: jax.Array | None,
    dropout_rate: Any,
    update_batch_norm: bool | None,
) -> tuple[jax.Array, Any]:
    """Pictures ``[B, side, side, 3] -> [B, classes]`` logits."""
    architecture, scope = Architecture.of(config), Scope(params)
    statistics = Statistics(model_state, train=train, update=update_batch_norm)
    activation = ACTIVATIONS[architecture.activation]
    x = activation(_convolved(scope, statistics, architecture.stem, batch["inputs"]))
    if architecture.pooled:
        x = _max_pool(x)
    for block in architecture.blocks:
        stage, name = block.name.split(".")
        x = _residual(scope[stage][name], statistics, block, activation, x)
    return dense(scope["Dense_0"], x.mean((1, 2))), statistics.state()


def _residual(scope: Scope, statistics: Statistics, block: Block, activation: Activation, x: jax.Array) -> jax.Array:
    *first, last = block.branch
    y = x
    for convolution in first:
        y = activation(_convolved(scope, statistics, convolution, y))
    y = _convolved(scope, statistics, last, y)
    if block.shortcut:
        x = _convolved(scope, statistics, block.shortcut, x)
    return activation(x + y)


def _convolved(scope: Scope, statistics: Statistics, c: Convolution, x: jax.Array) -> jax.Array:
    y = conv(scope[f"Conv_{c.suffix}"], x, stride=c.stride, padding=c.padding)
    return batch_norm(scope[f"BatchNorm_{c.suffix}"], statistics, y, decay=DECAY, eps=EPSILON)


def _max_pool(x: jax.Array) -> jax.Array:
    window, stride = (1, POOL["window"], POOL["window"], 1), (1, POOL["stride"], POOL["stride"], 1)
    around = ((0, 0), *((POOL["padding"],) * 2,) * 2, (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, stride, around)
