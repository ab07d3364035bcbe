"""Recipes as optax transformations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from harness.spec import Parameter
from submissions.arrays import namespace
from submissions.kernels import general_matrix_shape
from submissions.recipes import At, Recipe


def optimizer(
    recipe: Recipe, parameters: Any, learning_rate: Any, weight_decay: float, settings: Mapping[str, Any]
) -> optax.GradientTransformation:
    """Args: ``parameters`` a tree of declared Parameters; ``learning_rate`` a number, or a function of the count."""
    xp = namespace("jax")
    declared = jax.tree.leaves(parameters, is_leaf=lambda node: isinstance(node, Parameter))

    def shaped(parameter: Parameter, leaf: jax.Array) -> jax.Array:
        return leaf.reshape(general_matrix_shape(parameter)) if recipe.layout == "matrix" else leaf

    def init(params: Any) -> dict[str, Any]:
        leaves = jax.tree.leaves(params)
        states = [recipe.start(xp, shaped(p, leaf), p, **settings) for p, leaf in zip(declared, leaves, strict=True)]
        return {"count": jnp.zeros((), jnp.int32), "states": states}

    def update(updates: Any, state: dict[str, Any], params: Any = None) -> tuple[Any, dict[str, Any]]:
        rate = learning_rate(state["count"]) if callable(learning_rate) else learning_rate
        step = state["count"] + 1
        gradients, tree = jax.tree.flatten(updates)
        changes, states = [], []
        for p, leaf, gradient, held in zip(declared, jax.tree.leaves(params), gradients, state["states"], strict=True):
            at = At(step, rate) if recipe.layout == "vector" else At(step, rate, shaped(p, leaf), p)
            change, held = recipe.update(xp, shaped(p, gradient), held, at, **settings)
            changes.append(-change.reshape(leaf.shape) - rate * weight_decay * leaf)
            states.append(dict(held))
        return jax.tree.unflatten(tree, changes), {"count": step, "states": states}

    return optax.GradientTransformation(init, update)
