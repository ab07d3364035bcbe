"""Compositions in jax: AlgoPerf's functions around a component's optax transformation, one jitted step per update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import optax

from harness.spec import ForwardPassMode
from submissions.arrays import namespace
from submissions.components import Component
from submissions.composition import Plan

_ARGUMENTS: Mapping[str, Callable[[jax.Array, Callable[..., Any]], dict[str, Any]]] = {
    "loss": lambda loss, gradients_at: {"value": loss},
    "gradient": lambda loss, gradients_at: {"grad_fn": gradients_at},
}
"""What an update gets for each capability that its component names; the names of the arguments are optax's."""


def functions(
    optimizer: Component, averaging: ModuleType | None, plan_of: Callable[[Any, int], Plan]
) -> dict[str, Callable[..., Any]]:
    """``init_optimizer_state``, ``update_params`` and, where another point is evaluated, ``prepare_for_eval``.

    The optimizer state is ``({"optax": state, "average": state, "training_params": None or parameters}, update
    function)``: where another point is evaluated than trained, the latter waits there between an evaluation and the
    next update. ``average`` is None without an averaging.

    Args:
      optimizer: the component.
      averaging: the component's module; None where the iterates are not averaged.
      plan_of: the plan for a trial's hyperparameters and a step hint; cheap to ask again.
    """
    evaluation_params = getattr(optimizer.module, "jax_eval", None)
    if averaging is not None:
        evaluation_params = _average_of(averaging)

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
        transformation = optimizer.module.jax(
            parameters, learning_rate=lambda count: rate * jnp.take(table, count, mode="clip"), **settings
        )
        state: dict[str, Any] = {"optax": transformation.init(model_params), "average": None}
        if averaging is not None:
            started = averaging.start(namespace("jax"), lambda: vector(model_params), **plan.settings["averaging"])
            state["average"] = {"step": jnp.zeros((), jnp.int32), "state": started}
        update = _update_function(workload, transformation, optimizer.needs, averaging, plan)
        return {**_own(state), "training_params": None}, update

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
        state = {"optax": held["optax"], "average": held["average"]}
        state, params, model_state = update(state, params, model_state, batch, rng)
        return ({**state, "training_params": None}, update), params, model_state

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
        state = held["optax"] if averaging is None else held["average"]["state"]
        return ({**held, "training_params": params}, update), evaluation_params(state, params), model_state

    found: dict[str, Callable[..., Any]] = {
        "init_optimizer_state": init_optimizer_state,
        "update_params": update_params,
    }
    return found | ({"prepare_for_eval": prepare_for_eval} if evaluation_params else {})


def _own(state: Any) -> Any:
    """Copies: some optax states share arrays with the parameters or with each other, and both are donated."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)


def vector(params: Any) -> jax.Array:
    """All parameters, one after another."""
    return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(params)])


def _average_of(averaging: ModuleType) -> Callable[[Any, Any], Any]:
    """(the averaging's state, trained parameters) -> parameters to evaluate."""

    @jax.jit
    def evaluation_params(state: Any, params: Any) -> Any:
        _, unravel = jax.flatten_util.ravel_pytree(params)
        return unravel(averaging.average(namespace("jax"), state, lambda: vector(params)))

    return evaluation_params


def _update_function(
    workload: Any,
    transformation: optax.GradientTransformation,
    needs: tuple[str, ...],
    averaging: ModuleType | None,
    plan: Plan,
) -> Callable[..., Any]:
    clip = None if plan.gradient_clip is None else optax.clip_by_global_norm(plan.gradient_clip)
    transformation = optax.with_extra_args_support(transformation)

    def mean_loss(params: Any, model_state: Any, batch: dict[str, jax.Array], rng: Any) -> tuple[jax.Array, Any]:
        logits, model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), plan.label_smoothing)
        return loss["summed"] / loss["n_valid_examples"], model_state

    def update(
        state: dict[str, Any], params: Any, model_state: Any, batch: dict[str, jax.Array], rng: Any
    ) -> tuple[dict[str, Any], Any, Any]:
        def evaluate(params: Any) -> tuple[tuple[jax.Array, Any], Any]:
            found, gradients = jax.value_and_grad(mean_loss, has_aux=True)(params, model_state, batch, rng)
            return found, gradients if clip is None else clip.update(gradients, optax.EmptyState())[0]

        (loss, new_model_state), gradients = evaluate(params)
        arguments: dict[str, Any] = {}
        for need in needs:
            arguments |= _ARGUMENTS[need](loss, lambda params, *_: evaluate(params)[1])
        updates, optax_state = transformation.update(gradients, state["optax"], params, **arguments)
        params = optax.apply_updates(params, updates)
        average = None if averaging is None else averaged(state["average"], params)
        return {"optax": optax_state, "average": average}, params, new_model_state

    def averaged(held: dict[str, Any], params: Any) -> dict[str, Any]:
        assert averaging is not None
        step = held["step"] + 1
        state = averaging.update(
            namespace("jax"),
            held["state"],
            lambda: vector(params),
            step,
            workload.step_hint,
            **plan.settings["averaging"],
        )
        return {"step": step, "state": state}

    return jax.jit(update, donate_argnums=(0, 1))
