"""What optax's D-Adaptation and Prodigy lack: a start under a schedule that warms up from zero."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax


def from_rest(inner: optax.GradientTransformationExtraArgs) -> optax.GradientTransformation:
    """Keeps the estimate, and takes no step, as long as no gradient has had a weight.

    The estimate is 0 / 0 there, and would stay NaN for good: on the first step of a warm-up, whose learning rate is 0,
    or with gradients that are all zero.
    """

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        updates, new = inner.update(updates, state, params)
        some = optax.tree.sum(jax.tree.map(jnp.abs, new.grad_sum)) != 0
        updates = jax.tree.map(lambda u: jnp.where(some, u, 0), updates)
        return updates, new._replace(estim_lr=jnp.where(some, new.estim_lr, state.estim_lr))

    return optax.GradientTransformation(inner.init, update)
