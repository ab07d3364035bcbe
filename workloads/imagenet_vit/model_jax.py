"""The vision transformer in jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from workloads.attention_jax import multi_head_attention
from workloads.imagenet_vit.architecture import CHANNELS, LAYER_NORM_EPS, Architecture, position_table
from workloads.layers_jax import ACTIVATIONS, Scope, dense, dropout, layer_norm, matmul

Drop = Callable[[jax.Array], jax.Array]


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
    """Pictures ``[B, side, side, 3] -> [B, classes]`` logits."""
    scope, a = Scope(params), Architecture.of(config)
    keys = iter([] if rng is None else jax.random.split(rng, a.dropouts))

    def drop(x: jax.Array) -> jax.Array:
        return dropout(x, dropout_rate, next(keys, None), train=train)

    x = drop(_patches(scope["Conv_0"], batch["inputs"], a.patch) + position_table(a.grid, a.width))
    for name in a.blocks:
        x = _block(scope[name], x, a, drop)
    if not a.post_ln:
        x = layer_norm(scope["LayerNorm_0"], x, LAYER_NORM_EPS)
    x = _map_head(scope["MAPHead_0"], x, a, drop) if a.map_head else x.mean(1)
    return dense(scope["Dense_1"], jnp.tanh(dense(scope["Dense_0"], x))), model_state


def _patches(scope: Scope, pictures: jax.Array, patch: int) -> jax.Array:
    """``[B, side, side, 3] -> [B, patches, width]``: a convolution without overlaps, as a matrix product."""
    count, side = pictures.shape[:2]
    rows = pictures.reshape(count, side // patch, patch, side // patch, patch, CHANNELS)
    patches = rows.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, patch * patch * CHANNELS)
    kernel = scope.value("kernel")
    return scope.record(matmul(patches, kernel.reshape(-1, kernel.shape[-1])) + scope.value("bias"))


def _block(scope: Scope, x: jax.Array, a: Architecture, drop: Drop) -> jax.Array:
    """Attention and MLP, each beside a residual path."""

    def attended(x: jax.Array) -> jax.Array:
        return drop(multi_head_attention(scope["Attention_0"], x))

    def transformed(x: jax.Array) -> jax.Array:
        return drop(_mlp(scope["MLP_0"], x, a.glu, drop))

    def norm(index: int, x: jax.Array) -> jax.Array:
        return layer_norm(scope[f"LayerNorm_{index}"], x, LAYER_NORM_EPS)

    if a.post_ln:
        x = norm(0, x + attended(x))
        return norm(1, x + transformed(x))
    x = x + attended(norm(0, x))
    return x + transformed(norm(1, x))


def _mlp(scope: Scope, x: jax.Array, glu: bool, drop: Drop) -> jax.Array:
    """Dense, GELU, an optional gate, dropout, Dense."""
    x = ACTIVATIONS["gelu"](dense(scope["Dense_0"], x))
    if glu:
        return dense(scope["Dense_2"], drop(x * dense(scope["Dense_1"], x)))
    return dense(scope["Dense_1"], drop(x))


def _map_head(scope: Scope, tokens: jax.Array, a: Architecture, drop: Drop) -> jax.Array:
    """``[B, patches, width] -> [B, width]``: a learned query attends to the tokens (Lee et al. 2019, 1810.00825)."""
    probe = jnp.broadcast_to(scope.value("probe"), (len(tokens), 1, a.width))
    x = multi_head_attention(scope["Attention_0"], probe, tokens)[:, 0]
    return x + _mlp(scope["MLP_0"], layer_norm(scope["LayerNorm_0"], x, LAYER_NORM_EPS), a.glu, drop)
