"""Beam search in jax; ``beam_torch`` finds the same translations, and says how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from workloads.wmt.architecture import END, PAD, length_penalty

Step = Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, Any]]
"""Of a cache, the last tokens ``[sentences, beams]`` and their position: logits of the next tokens, and the cache,
whose arrays have a leading axis of sentences x beams."""


class _State(NamedTuple):
    position: jax.Array
    live: jax.Array
    history: jax.Array
    best: jax.Array
    chosen: jax.Array
    cache: Any


def beam_search(step: Step, cache: Any, sentences: int, beams: int, length: int, exponent: float) -> jax.Array:
    """Token ids ``[sentences, length]`` int32; see ``beam_torch.beam_search``."""

    def may_improve(state: _State) -> jax.Array:
        reachable = state.live[:, 0] / length_penalty(length, exponent)
        return (state.position < length) & ~(state.best >= reachable).all()

    def advance(state: _State) -> _State:
        position = state.position
        last = jax.lax.dynamic_index_in_dim(state.history, position, 2, keepdims=False)
        logits, cache = step(state.cache, last, position)
        scores = state.live[:, :, None] + jax.nn.log_softmax(logits, -1)
        vocabulary = scores.shape[-1]
        flat = scores.reshape(sentences, -1)
        scores, found = jax.lax.top_k(flat, min(2 * beams, flat.shape[1]))
        parents, tokens = found // vocabulary, found % vocabulary
        ended = tokens == END

        penalised = jnp.where(ended, scores / length_penalty(position + 1.0, exponent), -jnp.inf)
        which = penalised.argmax(1, keepdims=True)
        finished = _pick(penalised, which)[:, 0]
        candidate = _extended(_pick(state.history, _pick(parents, which)), _pick(tokens, which), position)[:, 0, 1:]
        better = finished > state.best

        live, which = jax.lax.top_k(jnp.where(ended, -jnp.inf, scores), beams)
        parents = _pick(parents, which)
        rows = (jnp.arange(sentences)[:, None] * beams + parents).reshape(-1)
        return _State(
            position + 1,
            live,
            _extended(_pick(state.history, parents), _pick(tokens, which), position),
            jnp.where(better, finished, state.best),
            jnp.where(better[:, None], candidate, state.chosen),
            jax.tree.map(lambda array: array.at[rows].get(mode="promise_in_bounds"), cache),
        )

    def start() -> _State:
        return _State(
            jnp.int32(0),
            jnp.full((sentences, beams), -jnp.inf).at[:, 0].set(0.0),  # All beams are alike at first.
            jnp.full((sentences, beams, length + 1), PAD, jnp.int32),
            jnp.full((sentences,), -jnp.inf),
            jnp.full((sentences, length), PAD, jnp.int32),
            cache,
        )

    end = jax.lax.while_loop(may_improve, advance, start())
    return jnp.where(jnp.isneginf(end.best)[:, None], end.history[:, 0, 1:], end.chosen)


def _extended(history: jax.Array, tokens: jax.Array, position: jax.Array) -> jax.Array:
    """``history [B, n, length + 1]`` with ``tokens [B, n]`` behind ``position``."""
    return jax.lax.dynamic_update_slice_in_dim(history, tokens[:, :, None].astype(history.dtype), position + 1, 2)


def _pick(values: jax.Array, which: jax.Array) -> jax.Array:
    """``[B, n, ...]`` at ``which [B, m]`` -> ``[B, m, ...]``."""
    return jnp.take_along_axis(values, which.reshape(which.shape + (1,) * (values.ndim - 2)), 1)
