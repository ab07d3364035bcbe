"""A submission in torch to start from: AdamW with warm-up and cosine decay, with its update rule spelled out.

Where your idea goes:
  1. the update rule:        MyOptimizer.update
  2. the learning rate:      multiplier
  3. the loss or gradient:   update_params
  4. the data:               data_selection (skip, repeat or reorder batches), get_batch_size
  5. hyperparameters:        DEFAULTS here, and the ranges in tuning_search_space.json

The functions below the line are AlgoPerf's; the harness calls them by these names and arguments. Everything in them
is on the clock; evaluation is not.
"""

import math

import torch

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


class MyOptimizer(torch.optim.Optimizer):
    """One update rule for every parameter; ``self.state[p]`` is the memory of parameter ``p``."""

    def __init__(self, params, settings):
        super().__init__(params, {**settings, "lr": settings["learning_rate"]})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, self.state[p], group)

    def update(self, p, state, group):
        """YOUR IDEA: change ``p`` in place, given ``p.grad``. This is AdamW (arXiv 1711.05101)."""
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(p)
            state["square"] = torch.zeros_like(p)
        state["step"] += 1
        beta1, beta2 = 1 - group["one_minus_beta1"], group["beta2"]
        state["mean"].lerp_(p.grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
        root = (state["square"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["epsilon"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.addcdiv_(state["mean"], root, value=-group["lr"] / (1 - beta1 ** state["step"]))


def multiplier(step, total_steps, warmup_fraction):
    """YOUR SCHEDULE: what the learning rate is multiplied by at ``step``; ``total_steps`` is the step hint."""
    warmup = max(round(warmup_fraction * total_steps), 1)
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(total_steps - warmup, 1), 1)))


def settings_of(hyperparameters):
    """The defaults, with the values that the trial gives."""
    return {**DEFAULTS, **(hyperparameters._asdict() if hyperparameters is not None else {})}


# ---- what the harness calls ----


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    """Called once. Returns a dict of objects that have a ``state_dict``."""
    return {"optimizer": MyOptimizer(model_params.parameters(), settings_of(hyperparameters))}


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
    settings = settings_of(hyperparameters)
    optimizer = optimizer_state["optimizer"]
    for group in optimizer.param_groups:
        group["lr"] = settings["learning_rate"] * multiplier(
            global_step, workload.step_hint, settings["warmup_fraction"]
        )

    optimizer.zero_grad()
    logits, model_state = workload.model_fn(
        params=current_param_container,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
    )
    losses = workload.loss_fn(
        label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights"), label_smoothing=0.0
    )
    loss = losses["summed"] / losses["n_valid_examples"]
    loss.backward()
    optimizer.step()
    return optimizer_state, current_param_container, model_state


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
    """The next training batch: a dict of tensors with ``inputs``, ``targets``, ``index`` and perhaps ``weights``."""
    return next(input_queue)


def get_batch_size(workload_name):
    """Examples per batch; for a name that you do not know, raise ValueError to get the workload's own."""
    raise ValueError(f"no batch size for {workload_name}")
