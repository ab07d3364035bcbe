"""The perceptron in jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from workloads.layers_jax import ACTIVATIONS, Scope, dense


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
    """Images ``[B, 28, 28, 1] -> [B, 10]`` logits."""
    scope = Scope(params)
    x = batch["inputs"].reshape(len(batch["inputs"]), -1)
    x = ACTIVATIONS[config["activation"]](dense(scope["Dense_0"], x))
    return dense(scope["Dense_1"], x), model_state
