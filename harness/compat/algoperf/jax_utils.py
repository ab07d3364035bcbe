"""``algoperf.jax_utils``: dropout for flax whose rate may be traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class Dropout(nn.Module):
    """Zeroes entries with probability ``rate`` and scales the rest by 1 / (1 - rate); the rate of a call goes before
    the module's own and may be a traced value, so that changing it compiles nothing anew."""

    rate: Any = None
    broadcast_dims: Sequence[int] = ()
    deterministic: bool | None = None
    rng_collection: str = "dropout"
    legacy: bool = False

    @nn.compact
    def __call__(
        self, inputs: jax.Array, deterministic: bool | None = None, rate: Any = None, rng: Any = None
    ) -> jax.Array:
        if nn.merge_param("deterministic", self.deterministic, deterministic):
            return inputs
        kept = 1.0 - (self.rate if rate is None else rate)
        key = self.make_rng(self.rng_collection) if rng is None else rng
        shape = [1 if axis in self.broadcast_dims else size for axis, size in enumerate(inputs.shape)]
        mask = jnp.broadcast_to(jax.random.bernoulli(key, kept, shape), inputs.shape)
        return jnp.where(mask, inputs / kept, 0)
