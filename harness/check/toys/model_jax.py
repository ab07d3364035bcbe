"""The toy net in jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from harness.check.toys.workload import PER_FRAME
from workloads.layers_jax import Scope, Statistics, batch_norm, dense, dense_general, dropout, embed, layer_norm


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
) -> tuple[Any, Any]:
    """Tokens ``[B, T]``, images ``[B, T, width, 3]`` or a pair of sound ``[B, T * samples]`` and its paddings to
    logits: ``[B, outputs]`` pooled; ``[B, T]`` for one output per token; or a pair of ``[B, T, outputs]`` and its
    paddings."""
    scope, statistics = Scope(params), Statistics(model_state, train=train, update=update_batch_norm)
    x, paddings = _first(config, scope, statistics, batch["inputs"])
    x = x + jax.nn.relu(_conv(scope["Conv_0"], x))
    x = x + _attention(scope["MultiHeadDotProductAttention_0"], layer_norm(scope["LayerNorm_0"], x, 1e-6))
    x = dropout(x, dropout_rate, rng, train=train)
    if config["pooled"]:
        x = x.mean(1)
    x = dense(scope["Dense_1"], jax.nn.relu(dense(scope["Dense_0"], x)))
    if config["pooled"]:
        return x, statistics.state()
    return (x.squeeze(-1) if config["outputs"] == 1 else (x, paddings)), statistics.state()


def _first(config: Mapping[str, Any], scope: Scope, statistics: Statistics, inputs: Any) -> tuple[jax.Array, Any]:
    """Features ``[B, T, features]``, and the paddings ``[B, T]`` of sound."""
    values, paddings = inputs if isinstance(inputs, tuple | list) else (inputs, None)
    if config["inputs"] == "tokens":
        return embed(scope["Embed_0"], values), None
    x = values.reshape(len(values), config["length"], -1) @ scope["Stem"].value("kernel")
    if config["inputs"] == "image":
        x = batch_norm(scope["BatchNorm_0"], statistics, x, decay=0.9, eps=1e-5)
    return x, None if paddings is None else paddings[:, :: PER_FRAME["sound"][0]]


def _conv(scope: Scope, x: jax.Array) -> jax.Array:
    """Along the second axis of ``[B, T, in]``, with a kernel ``[window, 1, in, out]``."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x[:, :, None], scope.value("kernel"), (1, 1), "SAME", dimension_numbers=dimensions)
    return scope.record((y + scope.value("bias"))[:, :, 0])


def _attention(scope: Scope, x: jax.Array) -> jax.Array:
    query, key, value = (dense_general(scope[name], x) for name in ("query", "key", "value"))
    logits = jnp.einsum("bqhk,bshk->bhqs", query, key) / query.shape[-1] ** 0.5
    weights = jax.nn.softmax(logits, axis=-1)
    return dense_general(scope["out"], jnp.einsum("bhqs,bshk->bqhk", weights, value), inputs=2)
