"""Attention in jax; ``attention_torch`` computes the same."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from workloads.declared import MASKED
from workloads.layers_jax import Scope, dense_general


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None = None, scale: Any = None
) -> jax.Array:
    """Scaled dot-product attention: Vaswani et al. 2017 (arXiv 1706.03762), eq. 1.

    Args:
      query: ``[B, T, heads, features]``.
      key, value: ``[B, S, heads, features]``.
      mask: added to the attention logits, broadcast to ``[B, heads, T, S]``; see ``additive_mask``.
      scale: factor of the logits; 1/sqrt(features) by default.

    Returns:
      ``[B, T, heads, features]``.
    """
    query = query * (query.shape[-1] ** -0.5 if scale is None else scale)
    logits = jnp.einsum("bqhk,bshk->bhqs", query, key)
    weights = jax.nn.softmax(logits if mask is None else logits + mask, axis=-1)
    return jnp.einsum("bhqs,bshk->bqhk", weights, value)


def additive_mask(allowed: jax.Array, dtype: Any) -> jax.Array:
    """0 where a query may look at a key, ``declared.MASKED`` elsewhere; make it once, and give it to every layer."""
    return jnp.where(allowed, 0.0, MASKED).astype(dtype)


def multi_head_attention(
    scope: Scope,
    x: jax.Array,
    memory: jax.Array | None = None,
    mask: jax.Array | None = None,
    scale: Any = None,
) -> jax.Array:
    """Attention of ``x [B, T, features]`` over ``memory [B, S, features]`` (itself by default), with the projections
    that ``declared.attention`` declares. ``mask`` and ``scale`` as in ``attend``."""
    memory = x if memory is None else memory
    query = dense_general(scope["query"], x)
    key, value = (dense_general(scope[name], memory) for name in ("key", "value"))
    return dense_general(scope["out"], attend(query, key, value, mask, scale), inputs=2)
