"""DLRM-small in jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from workloads.criteo1tb.architecture import DENSE, LAYER_NORM_EPS, Architecture, triangle
from workloads.layers_jax import Scope, dense, dropout, embed, layer_norm


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
    """Rows ``[B, 39]`` (13 counts, 26 ids) -> logits ``[B, 1]``."""
    scope, a = Scope(params), Architecture.of(config)

    def normalised(index: int | None, x: jax.Array) -> jax.Array:
        return x if index is None else layer_norm(scope[f"LayerNorm_{index}"], x, LAYER_NORM_EPS)

    def hidden(index: int, x: jax.Array) -> jax.Array:
        y = normalised(a.norm_of_dense(index), jax.nn.relu(dense(scope[f"Dense_{index}"], x)))
        if index == a.last - 1:
            y = dropout(y, dropout_rate, rng, train=train)
        return x + y if a.residual and x.shape == y.shape else y

    bottom = batch["inputs"][:, :DENSE]
    for index, _, _ in a.bottom_layers():
        bottom = hidden(index, bottom)
    ids = batch["inputs"][:, DENSE:].astype(jnp.int32)
    embedded = normalised(a.norm_of_embedding, embed(scope["Embed_0"], ids))
    x = embedded.reshape(len(embedded), -1) if a.residual else _interactions(bottom, embedded)
    x = jnp.concatenate((bottom, x), axis=1)
    for index, _, _ in a.top_layers():
        if index < a.last:
            x = hidden(index, x)
    return dense(scope[f"Dense_{a.last}"], x), model_state


def _interactions(bottom: jax.Array, embedded: jax.Array) -> jax.Array:
    """Dot products of all pairs of the 27 feature vectors, ``[B, 378]``."""
    features = jnp.concatenate((bottom[:, None], embedded), axis=1)
    products = jnp.einsum("bik,bjk->bij", features, features)
    flat = products.reshape(len(products), -1)
    # Said of the indices so that the gradient's scatter is cheap: it is the costliest part of a step otherwise.
    return flat.at[:, triangle()].get(mode="promise_in_bounds", unique_indices=True, indices_are_sorted=True)
