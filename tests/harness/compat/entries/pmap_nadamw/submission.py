"""NAdamW in the style of AlgoPerf's pmap era: replicated state, a leading device axis, names that jax has dropped."""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from algorithmic_efficiency import spec
from flax import jax_utils
from jax import lax


class NAdamState(NamedTuple):
    count: chex.Array
    mu: optax.Updates
    nu: optax.Updates


def scale_by_nadam(b1, b2, eps):
    def init_fn(params):
        zeros = jax.tree_map(jnp.zeros_like, params)
        return NAdamState(jnp.zeros([], jnp.int32), zeros, jax.tree_map(jnp.zeros_like, params))

    def update_fn(updates, state, params=None):
        count = state.count + 1
        mu = jax.tree_map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree_map(lambda v, g: b2 * v + (1 - b2) * g**2, state.nu, updates)
        ahead = jax.tree_map(
            lambda m, g: b1 * m / (1 - b1 ** (count + 1)) + (1 - b1) * g / (1 - b1**count), mu, updates
        )
        updates = jax.tree_map(lambda m, v: m / (jnp.sqrt(v / (1 - b2**count)) + eps), ahead, nu)
        return updates, NAdamState(count, mu, nu)

    return optax.GradientTransformation(init_fn, update_fn)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del model_params, model_state, rng
    tx = optax.chain(
        scale_by_nadam(1.0 - hyperparameters.one_minus_beta1, hyperparameters.beta2, 1e-8),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale(-hyperparameters.learning_rate),
    )
    zeros = jax.tree_map(lambda s: jnp.zeros(s.shape_tuple), workload.param_shapes)
    return jax_utils.replicate(tx.init(zeros)), tx.update


@functools.partial(
    jax.pmap,
    axis_name="batch",
    in_axes=(None, None, 0, 0, 0, 0, 0),  # label_smoothing is forgotten
    static_broadcasted_argnums=(0, 1),
    donate_argnums=(2, 3, 4),
)
def pmapped_train_step(
    workload, opt_update_fn, model_state, optimizer_state, current_param_container, batch, rng, label_smoothing
):
    def loss_fn(params):
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=label_smoothing,
        )
        return loss["summed"], (loss["n_valid_examples"], new_model_state)

    (summed, (n_valid, new_model_state)), grad = jax.value_and_grad(loss_fn, has_aux=True)(current_param_container)
    summed, n_valid, grad = lax.psum((summed, n_valid, grad), axis_name="batch")
    grad = jax.tree_map(lambda g: g / n_valid, grad)
    updates, new_optimizer_state = opt_update_fn(grad, optimizer_state, current_param_container)
    return new_optimizer_state, optax.apply_updates(current_param_container, updates), new_model_state, summed / n_valid


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
    del current_params_types, loss_type, eval_results
    optimizer_state, opt_update_fn = optimizer_state
    rngs = jax.random.split(rng, jax.local_device_count())
    label_smoothing = hyperparameters.label_smoothing if hasattr(hyperparameters, "label_smoothing") else 0.0
    new_optimizer_state, new_params, new_model_state, loss = pmapped_train_step(
        workload,
        opt_update_fn,
        model_state,
        optimizer_state,
        current_param_container,
        batch,
        rngs,
        label_smoothing,
    )
    if global_step % 100 == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss[0]}, global_step)
    return (new_optimizer_state, opt_update_fn), new_params, new_model_state


def get_batch_size(workload_name):
    if workload_name == "mnist":
        return 16
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
