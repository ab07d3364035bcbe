"""The translator in jax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workloads.attention_jax import additive_mask, attend, multi_head_attention
from workloads.layers_jax import ACTIVATIONS, Scope, dense, dense_general, dropout, embed, layer_norm, matmul
from workloads.wmt.architecture import LAYER_NORM_EPS, PAD, attention_scale, position_table
from workloads.wmt.beam_jax import beam_search

Config = Mapping[str, Any]
Batch = Mapping[str, jax.Array]
Dropped = Callable[[jax.Array], jax.Array]
Attend = Callable[[Scope, jax.Array], jax.Array]
"""Attention of queries, given the place of a block's attention layer."""


def apply(
    config: Config,
    params: Mapping[str, Any],
    model_state: Any,
    batch: Batch,
    *,
    train: bool,
    rng: jax.Array | None,
    dropout_rate: Any,
    update_batch_norm: bool,
) -> tuple[jax.Array, Any]:
    """Source ``inputs [B, S]`` and ``targets [B, T]`` -> logits ``[B, T, vocabulary]`` of the targets.

    Rows of several pairs carry ``*_position`` and ``*_segmentation``; see ``packing``.
    """
    keys = iter([] if rng is None or not train else jax.random.split(rng, 2 + 7 * config["layers"]))

    def dropped(x: jax.Array) -> jax.Array:
        return dropout(x, dropout_rate, next(keys, None), train=train)

    scope, scale = Scope(params), attention_scale(config)
    source, target = _segments(batch, "inputs"), _segments(batch, "targets")
    memory = _encode(config, scope, batch, source, dropped)
    shifted = _shifted(batch["targets"]) * (target == _shifted(target))
    causal = np.tri(shifted.shape[1], dtype=bool)
    own = additive_mask(_same(target, target) & causal, memory.dtype)
    other = additive_mask(_same(target, source), memory.dtype)
    x = _embedded(config, scope, shifted, batch.get("targets_position"), dropped)
    for i in range(config["layers"]):
        x = _decoder_block(
            config,
            scope[f"DecoderBlock_{i}"],
            x,
            lambda attention, y: multi_head_attention(attention, y, mask=own, scale=scale),
            lambda attention, y: multi_head_attention(attention, y, memory, other, scale),
            dropped,
        )
    return _logits(config, scope, x), model_state


def decode(config: Config, params: Mapping[str, Any], model_state: Any, batch: Batch) -> jax.Array:
    """Translations of ``inputs [B, S]`` by beam search, ``[B, length]``; see ``beam_torch.beam_search``."""
    scope, source, scale = Scope(params), _segments(batch, "inputs"), attention_scale(config)
    memory = _encode(config, scope, batch, source, _all)
    mask = additive_mask((source > 0)[:, None, None], memory.dtype)
    sentences, beams, length, layers = len(memory), config["beams"], config["length"], range(config["layers"])
    # The beams of a sentence are queries beside each other: what they look at is there once.
    others = [
        [dense_general(scope[f"DecoderBlock_{i}"]["Attention_1"][name], memory) for name in ("key", "value")]
        for i in layers
    ]
    positions = jnp.asarray(position_table(length, config["features"]))
    split = config["heads"], config["features"] // config["heads"]
    empty = jnp.zeros((sentences * beams, 2, length, *split), memory.dtype)

    def step(cache: list[jax.Array], tokens: jax.Array, position: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        written: list[jax.Array] = []
        so_far = additive_mask(jnp.arange(length) <= position, memory.dtype)

        def own(attention: Scope, y: jax.Array) -> jax.Array:
            one = y.reshape(-1, 1, y.shape[-1])
            new = jnp.stack([dense_general(attention[name], one) for name in ("key", "value")], 1)
            written.append(jax.lax.dynamic_update_slice_in_dim(cache[len(written)], new, position, 2))
            mixed = attend(dense_general(attention["query"], one), written[-1][:, 0], written[-1][:, 1], so_far, scale)
            return dense_general(attention["out"], mixed, inputs=2).reshape(y.shape)

        def other(attention: Scope, y: jax.Array) -> jax.Array:
            key, value = others[len(written) - 1]
            mixed = attend(dense_general(attention["query"], y), key, value, mask, scale)
            return dense_general(attention["out"], mixed, inputs=2)

        x = embed(scope["Embed_0"], tokens) + positions[position]
        for i in layers:
            x = _decoder_block(config, scope[f"DecoderBlock_{i}"], x, own, other, _all)
        return _logits(config, scope, x), written

    return beam_search(step, [empty] * len(layers), sentences, beams, length, config["length_penalty"])


def _all(x: jax.Array) -> jax.Array:
    """No dropout."""
    return x


def _encode(config: Config, scope: Scope, batch: Batch, segments: jax.Array, dropped: Dropped) -> jax.Array:
    x = _embedded(config, scope, batch["inputs"], batch.get("inputs_position"), dropped)
    mask, scale = additive_mask(_same(segments, segments), x.dtype), attention_scale(config)

    def own(attention: Scope, y: jax.Array) -> jax.Array:
        return multi_head_attention(attention, y, mask=mask, scale=scale)

    for i in range(config["layers"]):
        block = scope[f"EncoderBlock_{i}"]
        x = _around(config, block["LayerNorm_0"], x, lambda y, block=block: own(block["Attention_0"], y), dropped)
        x = _around(config, block["LayerNorm_1"], x, lambda y, block=block: _mlp(config, block, y, dropped), dropped)
    return layer_norm(scope["LayerNorm_0"], x, LAYER_NORM_EPS) if config["pre_ln"] else x


def _decoder_block(
    config: Config, block: Scope, x: jax.Array, own: Attend, other: Attend, dropped: Dropped
) -> jax.Array:
    """``own`` attends over the translation so far, ``other`` over the source."""
    x = _around(config, block["LayerNorm_0"], x, lambda y: own(block["Attention_0"], y), dropped)
    x = _around(config, block["LayerNorm_1"], x, lambda y: other(block["Attention_1"], y), dropped)
    return _around(config, block["LayerNorm_2"], x, lambda y: _mlp(config, block, y, dropped), dropped)


def _around(config: Config, norm: Scope, x: jax.Array, inner: Dropped, dropped: Dropped) -> jax.Array:
    """A residual path with layer normalisation before what it goes round (pre-LN) or after the sum (post-LN)."""
    y = dropped(inner(layer_norm(norm, x, LAYER_NORM_EPS) if config["pre_ln"] else x))
    return x + y if config["pre_ln"] else layer_norm(norm, x + y, LAYER_NORM_EPS)


def _mlp(config: Config, block: Scope, x: jax.Array, dropped: Dropped) -> jax.Array:
    """Dense, activation, times another Dense where gated, dropout, Dense."""
    scope = block["MLP_0"]
    hidden = ACTIVATIONS[config["activation"]](dense(scope["Dense_0"], x))
    if not config["gated"]:
        return dense(scope["Dense_1"], dropped(hidden))
    return dense(scope["Dense_2"], dropped(hidden * dense(scope["Dense_1"], x)))


def _embedded(config: Config, scope: Scope, ids: jax.Array, positions: jax.Array | None, dropped: Dropped) -> jax.Array:
    table = position_table(config["length"], config["features"])
    x = embed(scope["Embed_0"], ids)
    waves = table[: ids.shape[1]] if positions is None else jnp.asarray(table)[positions]
    return dropped(x + waves.astype(x.dtype))


def _logits(config: Config, scope: Scope, x: jax.Array) -> jax.Array:
    x = layer_norm(scope["LayerNorm_1"], x, LAYER_NORM_EPS) if config["pre_ln"] else x
    return matmul(x * x.shape[-1] ** -0.5, scope["Embed_0"].value("embedding").T)


def _shifted(x: jax.Array) -> jax.Array:
    """One place to the right, PAD (0) first."""
    return jnp.pad(x[:, :-1], ((0, 0), (1, 0)), constant_values=PAD)


def _segments(batch: Batch, name: str) -> jax.Array:
    """Number of the pair to which each token belongs, ``[B, T]``; 0 for padding."""
    given = batch.get(f"{name}_segmentation")
    return (batch[name] != PAD).astype(jnp.int32) if given is None else given


def _same(queries: jax.Array, keys: jax.Array) -> jax.Array:
    """Whether a query and a key are of one pair, ``[B, 1, T, S]``; padding sees padding."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]
