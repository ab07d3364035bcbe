"""Weight averaging in the style of AlgoPerf's LAWA: several batches per call from the iterator that ``data_selection``
returns, and other parameters for evaluation than for training."""

import itertools

import torch
from algoperf import spec

BATCHES_PER_CALL = 3


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert workload.max_allowed_runtime_sec > workload.eval_period_time_sec > 0
    return {
        "optimizer": torch.optim.SGD(model_params.parameters(), lr=0.5),
        "average": [p.detach().cpu().clone() for p in model_params.parameters()],
        "training": None,
        "count": 1,
    }


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
    if optimizer_state["training"] is not None:
        for p, kept in zip(current_param_container.parameters(), optimizer_state["training"], strict=True):
            p.data = kept.clone()
        optimizer_state["training"] = None
    for each in itertools.islice(batch, BATCHES_PER_CALL):
        optimizer_state["optimizer"].zero_grad()
        logits, model_state = workload.model_fn(
            current_param_container, each, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(each["targets"], logits, each.get("weights"))
        (loss["summed"] / loss["n_valid_examples"]).backward()
        optimizer_state["optimizer"].step()
    optimizer_state["count"] += 1
    for kept, p in zip(optimizer_state["average"], current_param_container.parameters(), strict=True):
        kept.lerp_(p.detach().cpu(), 1 / optimizer_state["count"])
    return optimizer_state, current_param_container, model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    optimizer_state["training"] = [p.detach().clone() for p in current_param_container.parameters()]
    for p, average in zip(current_param_container.parameters(), optimizer_state["average"], strict=True):
        p.data = average.clone().to(p.device)
    return optimizer_state, current_param_container, model_state


def get_batch_size(workload_name):
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return input_queue
