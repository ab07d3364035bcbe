"""The recurrent network in jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from workloads.layers_jax import ACTIVATIONS, Scope, Statistics, dense, dropout
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.librispeech_deepspeech.lstm_jax import bidirectional_lstm
from workloads.speech.front_end import FrontEnd
from workloads.speech.layers_jax import features_of, masked_batch_norm, offset_layer_norm, subsample


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
    """A collated batch of B utterances -> logits ``[B, T, classes]`` and paddings ``[B, T]``."""
    scope, a = Scope(params), Architecture.of(config)
    activation = ACTIVATIONS[a.activation]
    statistics = Statistics(model_state, train=train, update=update_batch_norm)
    keys = iter([] if rng is None else jax.random.split(rng, 1 + a.feed_forward))

    def dropped(x: jax.Array) -> jax.Array:
        return dropout(x, dropout_rate, next(keys, None), train=train)

    def normalised(layer: Scope, x: jax.Array) -> jax.Array:
        if a.norm == "batch":
            return masked_batch_norm(layer["BatchNorm_0"], statistics, x, mask, a.decay)
        return offset_layer_norm(layer["LayerNorm_0"], x)

    features, paddings = features_of(FrontEnd.of(config), batch, train=train)
    x, paddings = subsample(scope["Subsample_0"], features, paddings, activation)
    x, mask = dropped(x), (1 - paddings)[..., None]
    for name in a.recurrent_layers:
        y = bidirectional_lstm(scope[name]["LSTM_0"], normalised(scope[name], x), mask)
        x = x + y if a.residual else y
    for name in a.feed_forward_layers:
        y = dropped(activation(dense(scope[name]["Dense_0"], normalised(scope[name], x))) * mask)
        x = x + y if a.residual else y
    if a.final_norm:
        x = offset_layer_norm(scope["LayerNorm_0"], x)
    return (dense(scope["Dense_0"], x), paddings), statistics.state()
