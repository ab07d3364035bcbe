"""Compositions in torch: AlgoPerf's functions around a component's optimizer."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from harness.spec import ForwardPassMode
from submissions.composition import Plan


def functions(optimizer: ModuleType, plan_of: Callable[[Any, int], Plan]) -> dict[str, Callable[..., Any]]:
    """``init_optimizer_state``, ``update_params`` and, for optimizers that need it, ``prepare_for_eval``.

    Args:
      optimizer: the component.
      plan_of: the plan for a trial's hyperparameters and a step hint; cheap to ask again.
    """
    switch_to_training = getattr(optimizer, "torch_train", None)
    switch_to_evaluation = getattr(optimizer, "torch_eval", None)

    def init_optimizer_state(
        workload: Any, model_params: torch.nn.Module, model_state: Any, hyperparameters: Any, rng: Any
    ) -> dict[str, Any]:
        tensors = dict(model_params.named_parameters())
        declared = zip(workload.parameters(), workload.param_shapes, strict=True)
        settings = plan_of(hyperparameters, workload.step_hint).settings["optimizer"]
        built = optimizer.torch([(parameter, tensors[name]) for parameter, name in declared], **settings)
        for group in built.param_groups:
            group["initial_lr"] = group["lr"]
        return {"optimizer": built}

    def update_params(
        workload: Any,
        current_param_container: torch.nn.Module,
        current_params_types: Any,
        model_state: Any,
        hyperparameters: Any,
        batch: dict[str, torch.Tensor],
        loss_type: Any,
        optimizer_state: dict[str, Any],
        eval_results: Any,
        global_step: int,
        rng: Any,
    ) -> tuple[dict[str, Any], torch.nn.Module, Any]:
        plan = plan_of(hyperparameters, workload.step_hint)
        multiplier = plan.multiplier(global_step)
        built = optimizer_state["optimizer"]
        for group in built.param_groups:
            group["lr"] = group["initial_lr"] * multiplier
        if switch_to_training:
            switch_to_training(built)
        built.zero_grad(set_to_none=True)
        logits, model_state = workload.model_fn(
            current_param_container, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), plan.label_smoothing)
        (loss["summed"] / loss["n_valid_examples"]).backward()
        if plan.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(current_param_container.parameters(), plan.gradient_clip)
        built.step()
        return optimizer_state, current_param_container, model_state

    def prepare_for_eval(
        workload: Any,
        current_param_container: torch.nn.Module,
        current_params_types: Any,
        model_state: Any,
        hyperparameters: Any,
        loss_type: Any,
        optimizer_state: dict[str, Any],
        eval_results: Any,
        global_step: int,
        rng: Any,
    ) -> tuple[dict[str, Any], torch.nn.Module, Any]:
        assert switch_to_evaluation is not None
        switch_to_evaluation(optimizer_state["optimizer"])
        return optimizer_state, current_param_container, model_state

    found: dict[str, Callable[..., Any]] = {
        "init_optimizer_state": init_optimizer_state,
        "update_params": update_params,
    }
    return found | ({"prepare_for_eval": prepare_for_eval} if switch_to_evaluation else {})
