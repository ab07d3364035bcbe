"""The conformer in jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from workloads.attention_jax import additive_mask, attend
from workloads.layers_jax import ACTIVATIONS, Scope, Statistics, dense, dense_general, dropout
from workloads.librispeech_conformer.architecture import QUERY_SCALE, Architecture, positions
from workloads.speech.layers_jax import (
    depthwise_conv,
    features_of,
    masked_batch_norm,
    offset_layer_norm,
    subsample,
)

Dropped = Callable[[jax.Array], jax.Array]
_DROPOUTS_PER_BLOCK = 6


def apply(
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    model_state: Any,
    batch: Mapping[str, Any],
    *,
    train: bool,
    rng: jax.Array | None,
    dropout_rate: Any,
    update_batch_norm: bool | None,
) -> tuple[tuple[jax.Array, jax.Array], Any]:
    """A batch (see ``speech.batches``) -> logits ``[B, T, classes]`` and their paddings ``[B, T]``."""
    scope, a = Scope(params), Architecture.of(config)
    statistics = Statistics(model_state, train=train, update=update_batch_norm)
    keys = iter([] if rng is None else jax.random.split(rng, 1 + _DROPOUTS_PER_BLOCK * a.layers))

    def dropped(x: jax.Array) -> jax.Array:
        return dropout(x, dropout_rate, next(keys, None), train=train)

    features, paddings = features_of(a.front_end, batch, train=train)
    x, paddings = subsample(scope["Subsample_0"], features, paddings, jax.nn.relu)
    x = dropped(x + jnp.asarray(positions(*x.shape[1:]), x.dtype))
    mask = (1 - paddings)[..., None]
    visible = additive_mask(paddings[:, None, None] == 0, x.dtype)
    for name in a.blocks:
        x = _block(scope[name], a, statistics, x, mask, visible, dropped)
    return (dense(scope["Dense_0"], offset_layer_norm(scope["LayerNorm_0"], x)), paddings), statistics.state()


def _block(
    scope: Scope,
    a: Architecture,
    statistics: Statistics,
    x: jax.Array,
    mask: jax.Array,
    visible: jax.Array,
    dropped: Dropped,
) -> jax.Array:
    """Half a feed-forward step, attention, convolution and the other half, each added to its input."""
    x = x + 0.5 * _feed_forward(scope["FeedForward_0"], a, x, mask, dropped)
    x = x + _self_attention(scope["SelfAttention_0"], a, x, visible, dropped)
    x = x + _convolution(scope["Convolution_0"], a, statistics, x, mask, dropped)
    x = x + 0.5 * _feed_forward(scope["FeedForward_1"], a, x, mask, dropped)
    return offset_layer_norm(scope["LayerNorm_0"], x) if a.post_layer_norm else x


def _feed_forward(scope: Scope, a: Architecture, x: jax.Array, mask: jax.Array, dropped: Dropped) -> jax.Array:
    x = ACTIVATIONS[a.activation](dense(scope["Dense_0"], offset_layer_norm(scope["LayerNorm_0"], x)))
    return dropped(dense(scope["Dense_1"], dropped(x)) * mask)


def _self_attention(scope: Scope, a: Architecture, x: jax.Array, visible: jax.Array, dropped: Dropped) -> jax.Array:
    """Attention over ``x`` itself, with a learned factor per feature of the queries, and one for what is found."""
    x = offset_layer_norm(scope["LayerNorm_0"], x)
    scope = scope["Attention_0"]
    query, key, value = (dense_general(scope[name], x) for name in ("query", "key", "value"))
    query = query * (jax.nn.softplus(scope["QueryScale_0"].value("scale")) * QUERY_SCALE)
    found = attend(query, key, value, visible) * a.attention_temperature
    return dropped(dense_general(scope["out"], found, inputs=2))


def _convolution(
    scope: Scope, a: Architecture, statistics: Statistics, x: jax.Array, mask: jax.Array, dropped: Dropped
) -> jax.Array:
    """A gate, a window per feature, masked batch normalisation."""
    x = offset_layer_norm(scope["LayerNorm_0"], x)
    x = dense(scope["Dense_0"], x) * jax.nn.sigmoid(dense(scope["Dense_1"], x)) * mask
    x = depthwise_conv(scope["Conv_0"], x)
    x = masked_batch_norm(scope["BatchNorm_0"], statistics, x, mask, a.statistics_decay)
    return dropped(dense(scope["Dense_2"], ACTIVATIONS[a.activation](x)))
