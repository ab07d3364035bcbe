"""Compositions in torch: AlgoPerf's functions around a component's optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch

from harness.spec import ForwardPassMode
from submissions.arrays import namespace
from submissions.components import Component
from submissions.composition import Plan

_ARGUMENTS: Mapping[str, Callable[[torch.Tensor, Callable[[], torch.Tensor]], dict[str, Any]]] = {
    "loss": lambda loss, evaluate: {"loss": loss.detach()},
    "gradient": lambda loss, evaluate: {"closure": torch.enable_grad()(evaluate)},
}
"""What a step gets for each capability that its component names."""


def functions(
    optimizer: Component, averaging: ModuleType | None, plan_of: Callable[[Any, int], Plan]
) -> dict[str, Callable[..., Any]]:
    """``init_optimizer_state``, ``update_params`` and, where another point is evaluated, ``prepare_for_eval``.

    The state is ``{"optimizer": built}``, with an averaging also its ``"average"``, and as ``"training"`` the vector of
    trained parameters while the average stands in their place, which is between an evaluation and the next update.

    Args:
      optimizer: the component.
      averaging: the component's module; None where the iterates are not averaged.
      plan_of: the plan for a trial's hyperparameters and a step hint; cheap to ask again.
    """
    switch_to_training = getattr(optimizer.module, "torch_train", None)
    switch_to_evaluation = getattr(optimizer.module, "torch_eval", None)
    needs, xp = optimizer.needs, namespace("torch")

    def init_optimizer_state(
        workload: Any, model_params: torch.nn.Module, model_state: Any, hyperparameters: Any, rng: Any
    ) -> dict[str, Any]:
        plan = plan_of(hyperparameters, workload.step_hint)
        tensors = dict(model_params.named_parameters())
        declared = zip(workload.parameters(), workload.param_shapes, strict=True)
        built = optimizer.module.torch(
            [(parameter, tensors[name]) for parameter, name in declared], **plan.settings["optimizer"]
        )
        for group in built.param_groups:
            group["initial_lr"] = group["lr"]
        if averaging is None:
            return {"optimizer": built}
        average = averaging.start(xp, lambda: vector(model_params), **plan.settings["averaging"])
        return {"optimizer": built, "average": average, "training": None}

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
        if averaging is not None and optimizer_state["training"] is not None:
            fill(current_param_container, optimizer_state["training"])
            optimizer_state["training"] = None

        def evaluate(update_batch_norm: bool = False) -> torch.Tensor:
            """The mean loss; every gradient is set anew."""
            nonlocal model_state
            built.zero_grad(set_to_none=True)
            logits, new_state = workload.model_fn(
                current_param_container, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm
            )
            if update_batch_norm:
                model_state = new_state
            found = workload.loss_fn(batch["targets"], logits, batch.get("weights"), plan.label_smoothing)
            loss = found["summed"] / found["n_valid_examples"]
            loss.backward()
            if plan.gradient_clip is not None:
                torch.nn.utils.clip_grad_norm_(current_param_container.parameters(), plan.gradient_clip)
            return loss

        loss = evaluate(update_batch_norm=True)
        arguments: dict[str, Any] = {}
        for need in needs:
            arguments |= _ARGUMENTS[need](loss, evaluate)
        built.step(**arguments)
        if averaging is not None:
            optimizer_state["average"] = averaging.update(
                xp,
                optimizer_state["average"],
                lambda: vector(current_param_container),
                global_step + 1,
                workload.step_hint,
                **plan.settings["averaging"],
            )
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
        if switch_to_evaluation is not None:
            switch_to_evaluation(optimizer_state["optimizer"])
        if averaging is not None and optimizer_state["training"] is None:
            optimizer_state["training"] = vector(current_param_container)
            average = averaging.average(xp, optimizer_state["average"], lambda: optimizer_state["training"])
            fill(current_param_container, average)
        return optimizer_state, current_param_container, model_state

    found: dict[str, Callable[..., Any]] = {
        "init_optimizer_state": init_optimizer_state,
        "update_params": update_params,
    }
    return found | ({"prepare_for_eval": prepare_for_eval} if switch_to_evaluation or averaging else {})


def vector(model: torch.nn.Module) -> torch.Tensor:
    """A copy of all parameters, one after another."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


def fill(model: torch.nn.Module, values: torch.Tensor) -> None:
    """Gives all parameters the values of such a vector."""
    parameters = list(model.parameters())
    parts = values.split([parameter.numel() for parameter in parameters])
    with torch.no_grad():
        torch._foreach_copy_(parameters, [part.view_as(p) for part, p in zip(parts, parameters, strict=True)])
