"""NAdamW in the style of AlgoPerf's jit era: shardings, a static workload, donated buffers, constants in the file."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from algoperf import jax_sharding_utils, spec

HPARAMS = {
    "learning_rate": 0.005,
    "one_minus_beta1": 0.1,
    "beta2": 0.99,
    "weight_decay": 0.05,
    "dropout_rate": 0.0,
}


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    del model_params, model_state, hyperparameters, rng
    tx = optax.nadamw(
        HPARAMS["learning_rate"],
        1.0 - HPARAMS["one_minus_beta1"],
        HPARAMS["beta2"],
        weight_decay=HPARAMS["weight_decay"],
    )
    return tx.init(jax.tree.map(lambda s: jnp.zeros(s.shape_tuple), workload.param_shapes)), tx.update


def train_step(workload, opt_update_fn, model_state, optimizer_state, params, batch, rng, grad_clip, dropout_rate):
    def loss_fn(params):
        logits, new_model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=dropout_rate,
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights"), label_smoothing=0.0
        )
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    (loss, new_model_state), grad = jax.value_and_grad(loss_fn, has_aux=True)(params)
    if grad_clip is not None:
        scale = jnp.clip(grad_clip / (optax.tree.norm(grad) + 1e-6), a_min=0.0, a_max=1.0)
        grad = jax.tree.map(lambda g: g * scale, grad)
    updates, new_optimizer_state = opt_update_fn(grad, optimizer_state, params)
    return new_optimizer_state, optax.apply_updates(params, updates), new_model_state, loss


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: dict[str, spec.Tensor],
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, float]],
    global_step: int,
    rng: spec.RandomState,
    train_state: dict[str, Any] | None = None,
) -> spec.UpdateReturn:
    del current_params_types, loss_type, train_state, eval_results, hyperparameters
    optimizer_state, opt_update_fn = optimizer_state
    replicated = jax_sharding_utils.get_replicate_sharding()
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    jitted_train_step = jax.jit(
        train_step,
        static_argnums=(0, 1),
        donate_argnums=(2, 3, 4),
        in_shardings=(replicated, replicated, replicated, sharded, replicated, replicated, replicated),
        out_shardings=(replicated, replicated, replicated, replicated),
    )
    new_optimizer_state, new_params, new_model_state, _ = jitted_train_step(
        workload,
        opt_update_fn,
        model_state,
        optimizer_state,
        current_param_container,
        batch,
        rng,
        None,
        HPARAMS["dropout_rate"],
    )
    return (new_optimizer_state, opt_update_fn), new_params, new_model_state


def prepare_for_eval(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, float]],
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    return optimizer_state, current_param_container, model_state


def get_batch_size(workload_name):
    sizes = {"mnist": 16, "wmt": 128}
    return sizes[workload_name]


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
