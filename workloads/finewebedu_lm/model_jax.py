"""The transformer in jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workloads.finewebedu_lm.architecture import QK_NORM_EPS, RMS_NORM_EPS, rotary_table
from workloads.layers_jax import ACTIVATIONS, Scope, dense, dense_general, embed, matmul, rms_norm


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
    """Token ids ``[B, T] -> [B, T, vocabulary]`` logits."""
    scope, ids = Scope(params), batch["inputs"]
    x = embed(scope["Embed_0"], ids)
    rotation = rotary_table(ids.shape[1], config["features"] // config["heads"])
    for i in range(config["layers"]):
        block = scope[f"Block_{i}"]
        x = x + _attention(block["Attention_0"], rms_norm(block["RMSNorm_0"], x, RMS_NORM_EPS), rotation)
        x = x + _gated_mlp(block["MLP_0"], rms_norm(block["RMSNorm_1"], x, RMS_NORM_EPS), config["gate"])
    x = rms_norm(scope["RMSNorm_0"], x, RMS_NORM_EPS)
    return matmul(x, scope["Embed_0"].value("embedding").T), model_state


def _attention(scope: Scope, x: jax.Array, rotation: tuple[np.ndarray, np.ndarray]) -> jax.Array:
    """Causal attention with rotary positions, normalised queries and keys, and one learned scale of the logits."""
    query, key, value = (dense_general(scope[name], x) for name in ("query", "key", "value"))
    query = _unit(_rotated(query, rotation)) * scope.value("attn_scale")
    key = _unit(_rotated(key, rotation))
    logits = jnp.einsum("bqhk,bshk->bhqs", query, key)
    # Adding a constant is a third cheaper than jnp.where, whose gradient selects once more.
    causal = np.where(np.tri(x.shape[1], dtype=bool), 0.0, -np.inf).astype(x.dtype)
    weights = jax.nn.softmax(logits + causal, axis=-1)
    return dense_general(scope["out"], jnp.einsum("bhqs,bshk->bqhk", weights, value), inputs=2)


def _gated_mlp(scope: Scope, x: jax.Array, gate: str) -> jax.Array:
    """``(a * gate(b)) W`` with ``a, b`` the halves of one Dense (Shazeer 2020, arXiv 2002.05202)."""
    a, b = jnp.split(dense(scope["Dense_0"], x), 2, axis=-1)
    return dense(scope["Dense_1"], a * ACTIVATIONS[gate](b))


def _rotated(x: jax.Array, rotation: tuple[np.ndarray, np.ndarray]) -> jax.Array:
    """``[B, T, heads, features]``, pairs of neighbouring features turned by the angles of their position."""
    cos, sin = rotation
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack((even * cos - odd * sin, even * sin + odd * cos), axis=-1).reshape(x.shape)


def _unit(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt((x * x).sum(axis=-1, keepdims=True) + QK_NORM_EPS**2)
