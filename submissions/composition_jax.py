"""Compositions in jax: AlgoPerf's functions around a component's optax transformation, one jitted step per update."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import optax

from harness.spec import ForwardPassMode
from submissions.composition import Plan


def functions(optimizer: ModuleType, plan_of: Callable[[Any, int], Plan]) -> dict[str, Callable[..., Any]]:
    """``init_optimizer_state``, ``update_params`` and, for optimizers that need it, ``prepare_for_eval``.

    The optimizer state is ``({"optax": state, "training_params": None or parameters}, update function)``: an optimizer
    that evaluates at other parameters than it trains leaves the latter there between an evaluation and the next update.

    Args:
      optimizer: the component.
      plan_of: the plan for a trial's hyperparameters and a step hint; cheap to ask again.
    """
    evaluation_params = getattr(optimizer, "jax_eval", None)

    def init_optimizer_state(
        workload: Any, model_params: Any, model_state: Any, hyperparameters: Any, rng: Any
    ) -> tuple[dict[str, Any], Callable[..., Any]]:
        plan = plan_of(hyperparameters, workload.step_hint)
        table = jnp.asarray(plan.multipliers, jnp.float32)
        settings = dict(plan.settings["optimizer"])
        rate = settings.pop("learning_rate")
        declared = {parameter.name: parameter for parameter in workload.parameters()}
        parameters = jax.tree.map_with_path(
            lambda path, _: declared[jax.tree_util.keystr(path, simple=True, separator=".")], model_params
        )
        transformation = optimizer.jax(
            parameters, learning_rate=lambda count: rate * jnp.take(table, count, mode="clip"), **settings
        )
        state = _own(transformation.init(model_params))
        return {"optax": state, "training_params": None}, _update_function(workload, transformation, plan)

    def update_params(
        workload: Any,
        current_param_container: Any,
        current_params_types: Any,
        model_state: Any,
        hyperparameters: Any,
        batch: dict[str, jax.Array],
        loss_type: Any,
        optimizer_state: tuple[dict[str, Any], Callable[..., Any]],
        eval_results: Any,
        global_step: int,
        rng: Any,
    ) -> tuple[tuple[dict[str, Any], Callable[..., Any]], Any, Any]:
        plan_of(hyperparameters, workload.step_hint).multiplier(global_step)  # says when nothing is left to do
        held, update = optimizer_state
        params = current_param_container if held["training_params"] is None else held["training_params"]
        state, params, model_state = update(held["optax"], params, model_state, batch, rng)
        return ({"optax": state, "training_params": None}, update), params, model_state

    def prepare_for_eval(
        workload: Any,
        current_param_container: Any,
        current_params_types: Any,
        model_state: Any,
        hyperparameters: Any,
        loss_type: Any,
        optimizer_state: tuple[dict[str, Any], Callable[..., Any]],
        eval_results: Any,
        global_step: int,
        rng: Any,
    ) -> tuple[tuple[dict[str, Any], Callable[..., Any]], Any, Any]:
        assert evaluation_params is not None
        held, update = optimizer_state
        params = current_param_container if held["training_params"] is None else held["training_params"]
        held = {"optax": held["optax"], "training_params": params}
        return (held, update), evaluation_params(held["optax"], params), model_state

    found: dict[str, Callable[..., Any]] = {
        "init_optimizer_state": init_optimizer_state,
        "update_params": update_params,
    }
    return found | ({"prepare_for_eval": prepare_for_eval} if evaluation_params else {})


def _own(state: Any) -> Any:
    """Copies: some optax states share arrays with the parameters or with each other, and both are donated."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)


def _update_function(workload: Any, transformation: optax.GradientTransformation, plan: Plan) -> Callable[..., Any]:
    clip = None if plan.gradient_clip is None else optax.clip_by_global_norm(plan.gradient_clip)

    def mean_loss(params: Any, model_state: Any, batch: dict[str, jax.Array], rng: Any) -> tuple[jax.Array, Any]:
        logits, model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), plan.label_smoothing)
        return loss["summed"] / loss["n_valid_examples"], model_state

    def update(
        state: Any, params: Any, model_state: Any, batch: dict[str, jax.Array], rng: Any
    ) -> tuple[Any, Any, Any]:
        gradients, model_state = jax.grad(mean_loss, has_aux=True)(params, model_state, batch, rng)
        if clip is not None:
            gradients, _ = clip.update(gradients, optax.EmptyState())
        updates, state = transformation.update(gradients, state, params)
        return state, optax.apply_updates(params, updates), model_state

    return jax.jit(update, donate_argnums=(0, 1))
