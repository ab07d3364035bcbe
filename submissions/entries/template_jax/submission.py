"""A submission in jax to start from: AdamW with warm-up and cosine decay, with its update rule spelled out.

Where your idea goes:
  1. the update rule:        scale_by_my_idea
  2. the learning rate:      learning_rate_schedule
  3. the loss or gradient:   make_train_step
  4. the data:               data_selection (skip, repeat or reorder batches), get_batch_size
  5. hyperparameters:        DEFAULTS here, and the ranges in tuning_search_space.json

The functions below the line are AlgoPerf's; the harness calls them by these names and arguments. Everything in them
is on the clock, compilation included; evaluation is not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from harness import spec

DEFAULTS = {
    "learning_rate": 8e-3,
    "one_minus_beta1": 0.1,
    "beta2": 0.97,
    "epsilon": 1e-8,
    "weight_decay": 0.15,
    "warmup_fraction": 0.05,
}
"""Used where the trial gives no value: under the self-tuning ruleset the harness gives none at all."""


class MyState(NamedTuple):
    """The memory of the update rule: trees shaped like the parameters."""

    step: jax.Array
    mean: Any
    square: Any


def scale_by_my_idea(beta1, beta2, epsilon):
    """YOUR IDEA: gradients in, update directions out. This is Adam (arXiv 1412.6980)."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return MyState(jnp.zeros([], jnp.int32), zeros, zeros)

    def update(gradients, state, params):
        step = state.step + 1
        mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, gradients)
        square = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state.square, gradients)
        updates = jax.tree.map(
            lambda m, v: (m / (1 - beta1**step)) / (jnp.sqrt(v / (1 - beta2**step)) + epsilon), mean, square
        )
        return updates, MyState(step, mean, square)

    return optax.GradientTransformation(init, update)


def learning_rate_schedule(settings, total_steps):
    """YOUR SCHEDULE: a function of the step; ``total_steps`` is the workload's step hint."""
    warmup = max(round(settings["warmup_fraction"] * total_steps), 1)
    return optax.warmup_cosine_decay_schedule(0.0, settings["learning_rate"], warmup, max(total_steps, warmup + 1))


def make_optimizer(settings, total_steps):
    return optax.chain(
        scale_by_my_idea(1 - settings["one_minus_beta1"], settings["beta2"], settings["epsilon"]),
        optax.add_decayed_weights(settings["weight_decay"]),
        optax.scale_by_learning_rate(learning_rate_schedule(settings, total_steps)),
    )


def make_train_step(workload, optimizer):
    """One step, compiled as a whole. Its old state and parameters are donated: their memory is reused."""

    def loss_of(params, model_state, batch, rng):
        logits, model_state = workload.model_fn(
            params=params,
            augmented_and_preprocessed_input_batch=batch,
            model_state=model_state,
            mode=spec.ForwardPassMode.TRAIN,
            rng=rng,
            update_batch_norm=True,
        )
        losses = workload.loss_fn(
            label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights"), label_smoothing=0.0
        )
        return losses["summed"] / losses["n_valid_examples"], model_state

    def train_step(state, params, model_state, batch, rng):
        gradients, model_state = jax.grad(loss_of, has_aux=True)(params, model_state, batch, rng)
        updates, state = optimizer.update(gradients, state, params)
        return state, optax.apply_updates(params, updates), model_state

    return jax.jit(train_step, donate_argnums=(0, 1))


def settings_of(hyperparameters):
    """The defaults, with the values that the trial gives."""
    return {**DEFAULTS, **(hyperparameters._asdict() if hyperparameters is not None else {})}


# ---- what the harness calls ----


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    """Called once. Returns (a tree of arrays, the update function)."""
    optimizer = make_optimizer(settings_of(hyperparameters), workload.step_hint)
    state = jax.tree.map(jnp.copy, optimizer.init(model_params))  # donated later, so no two arrays may be one
    return state, make_train_step(workload, optimizer)


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    """One step: called until a target, the budget or the end of the schedule is reached."""
    if global_step >= workload.step_hint:
        raise spec.TrainingCompleteError("the learning rate is 0 from the step hint on")
    state, train_step = optimizer_state
    state, params, model_state = train_step(state, current_param_container, model_state, batch, rng)
    return (state, train_step), params, model_state


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    """The next training batch: a dict of arrays with ``inputs``, ``targets``, ``index`` and perhaps ``weights``."""
    return next(input_queue)


def get_batch_size(workload_name):
    """Examples per batch; for a name that you do not know, raise ValueError to get the workload's own."""
    raise ValueError(f"no batch size for {workload_name}")
