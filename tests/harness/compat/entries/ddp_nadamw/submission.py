"""NAdamW in the style of AlgoPerf's torch entries, written for DistributedDataParallel on GPUs."""

import torch
import torch.distributed as dist
import torch.distributed.nn as dist_nn
from absl import logging
from algorithmic_efficiency import spec
from algorithmic_efficiency.pytorch_utils import pytorch_setup
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

USE_PYTORCH_DDP, RANK, DEVICE, N_GPUS = pytorch_setup()
UNGUARDED = False
"""Whether to talk to other processes without asking whether there are any."""


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del model_state, rng
    optimizer = torch.optim.NAdam(
        model_params.module.parameters(),
        lr=hyperparameters.learning_rate,
        betas=(1.0 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
        momentum_decay=1e6,
        decoupled_weight_decay=True,
    )
    warmup_steps = max(int(hyperparameters.warmup_factor * workload.step_hint), 1)
    warmup = LinearLR(optimizer, start_factor=1e-10, end_factor=1.0, total_iters=warmup_steps)
    decay = CosineAnnealingLR(optimizer, T_max=max(workload.step_hint - warmup_steps, 1))
    scheduler = SequentialLR(optimizer, schedulers=[warmup, decay], milestones=[warmup_steps])
    return {"optimizer": optimizer, "scheduler": scheduler, "scale": torch.ones((), device="cuda")}


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
    current_model = current_param_container
    current_model.train()
    optimizer_state["optimizer"].zero_grad()
    logits_batch, new_model_state = workload.model_fn(
        params=current_model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
    )
    loss_dict = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits_batch,
        mask_batch=batch.get("weights"),
        label_smoothing=hyperparameters.label_smoothing,
    )
    summed_loss = loss_dict["summed"] * optimizer_state["scale"].cuda()
    n_valid_examples = loss_dict["n_valid_examples"]
    if USE_PYTORCH_DDP or UNGUARDED:
        summed_loss = dist_nn.all_reduce(summed_loss)
        n_valid_examples = dist_nn.all_reduce(n_valid_examples)
        n_valid_examples = n_valid_examples / dist.get_world_size()
    loss = summed_loss / n_valid_examples
    loss.backward()
    if hasattr(hyperparameters, "grad_clip"):
        torch.nn.utils.clip_grad_norm_(current_model.parameters(), max_norm=hyperparameters.grad_clip)
    optimizer_state["optimizer"].step()
    optimizer_state["scheduler"].step()
    if global_step % 500 == 0:
        logging.info("%d) loss = %0.3f", global_step, loss.item())
    return optimizer_state, current_param_container, new_model_state


def get_batch_size(workload_name):
    if workload_name == "mnist":
        return 16
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
