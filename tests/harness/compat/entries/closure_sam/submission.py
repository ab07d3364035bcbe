"""An optimizer of its own that takes a closure and keeps state, in the style of AlgoPerf's SAM and Schedule-Free."""

import torch
from algoperf import spec
from algoperf.pytorch_utils import pytorch_setup

USE_PYTORCH_DDP = pytorch_setup()[0]


class SharpnessAware(torch.optim.Optimizer):
    def __init__(self, params, lr, rho):
        super().__init__(params, {"lr": lr, "rho": rho})

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            loss = closure(True)
        for group in self.param_groups:
            norm = torch.stack([p.grad.norm() for p in group["params"]]).norm() + 1e-12
            for p in group["params"]:
                self.state[p]["ascent"] = p.grad * (group["rho"] / norm)
                p.add_(self.state[p]["ascent"])
        with torch.enable_grad():
            closure(False)
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(self.state[p]["ascent"]).sub_(p.grad, alpha=group["lr"])
        return loss


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": SharpnessAware(model_params.parameters(), lr=0.1, rho=0.05), "calls": 0}


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
    train_state=None,
):
    new_model_state = None
    metric = f"validation/{workload.target_metric_name}"
    assert all(metric in seen for _, seen in eval_results)
    assert train_state["is_time_remaining"]
    assert train_state["accumulated_eval_time"] > 0 or not eval_results
    assert train_state["accumulated_logging_time"] >= 0
    assert train_state["last_step_end_time"] >= train_state["last_eval_time"]

    def closure(update_batch_norm):
        nonlocal new_model_state
        optimizer_state["optimizer"].zero_grad()
        logits, new_model_state = workload.model_fn(
            params=current_param_container,
            augmented_and_preprocessed_input_batch=batch,
            model_state=model_state,
            mode=spec.ForwardPassMode.TRAIN,
            rng=rng,
            update_batch_norm=update_batch_norm,
            dropout_rate=0.1,
        )
        loss_dict = workload.loss_fn(batch["targets"], logits)
        loss = loss_dict["summed"] / loss_dict["n_valid_examples"]
        loss.backward()
        return loss

    optimizer_state["optimizer"].step(closure)
    optimizer_state["calls"] += 1
    if global_step >= 12:
        raise spec.TrainingCompleteError("twelve are enough")
    return optimizer_state, current_param_container, new_model_state


def get_batch_size(workload_name):
    if workload_name == "mnist":
        batch_size = 16
    return batch_size


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
