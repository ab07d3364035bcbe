"""What every cheat in jax is built on: plain Adam."""

import jax
import optax

from harness import spec


def get_batch_size(workload_name):
    raise ValueError(workload_name)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    tx = optax.adam(1e-3)

    @jax.jit
    def update(params, state, batch, rng):
        def loss_of(params):
            logits, _ = workload.model_fn(params, batch, None, spec.ForwardPassMode.TRAIN, rng, True)
            loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
            return loss["summed"] / loss["n_valid_examples"]

        updates, state = tx.update(jax.grad(loss_of)(params), state, params)
        return state, optax.apply_updates(params, updates)

    return tx.init(model_params), update


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
    return next(input_queue)


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
    state, update = optimizer_state
    state, params = update(current_param_container, state, batch, rng)
    return (state, update), params, model_state
