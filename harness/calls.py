"""A trial's calls of the submission's functions, with AlgoPerf's arguments; :mod:`harness.trial` says when.

Raises InvalidSubmissionError where a function returns something else than the contract says, and whatever it raises.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.entry import InvalidSubmissionError
from harness.returned import unpacked

if TYPE_CHECKING:
    from harness.trial import TrainingLoop


def initialize(loop: TrainingLoop) -> None:
    """Initial parameters, where the submission has an initializer, and the optimizer state."""
    initializer = getattr(loop.functions, "init_model_params", None)
    if initializer is not None:
        result = initializer(
            loop.shown,
            loop.params,
            loop.model_state,
            loop.hyperparameters,
            loop.input_queue,
            loop.random_key("init"),
        )
        loop.params, loop.model_state = _unpack(loop, "init_model_params", result, 2, container=0)
    loop.optimizer_state = loop.functions.init_optimizer_state(
        loop.shown, loop.params, loop.model_state, loop.hyperparameters, loop.random_key("optimizer")
    )


def select_batch(loop: TrainingLoop, key: Any) -> Any:
    """The batch of a step."""
    batch = loop.functions.data_selection(
        loop.shown,
        loop.input_queue,
        loop.optimizer_state,
        loop.params,
        loop.model_state,
        loop.hyperparameters,
        loop.steps,
        key,
    )
    if batch is None:
        raise InvalidSubmissionError("data_selection returned None; return a batch, such as next(input_queue)")
    return batch


def takes_train_state(update_params: Callable[..., Any]) -> bool:
    return "train_state" in inspect.signature(update_params).parameters


def update(loop: TrainingLoop, batch: Any, key: Any) -> None:
    """One update of parameters and states; what the first returns is looked at."""
    also = {"train_state": _train_state(loop)} if loop.takes_train_state else {}
    result = loop.functions.update_params(**_training(loop), batch=batch, rng=key, **also)
    if loop.steps == 0:
        result = _unpack(loop, "update_params", result, 3, container=1)
    loop.optimizer_state, loop.params, loop.model_state = result


def prepare(loop: TrainingLoop) -> None:
    """What the submission wants to be evaluated takes the place of parameters and states, where it says so."""
    prepares = getattr(loop.functions, "prepare_for_eval", None)
    if prepares is None:
        return
    result = prepares(**_training(loop), rng=loop.random_key("prepare"))
    loop.optimizer_state, loop.params, loop.model_state = _unpack(loop, "prepare_for_eval", result, 3, container=1)


def _training(loop: TrainingLoop) -> dict[str, Any]:
    """The arguments that update_params and prepare_for_eval share."""
    return {
        "workload": loop.shown,
        "current_param_container": loop.params,
        "current_params_types": loop.types,
        "model_state": loop.model_state,
        "hyperparameters": loop.hyperparameters,
        "loss_type": loop.workload.loss_type,
        "optimizer_state": loop.optimizer_state,
        "eval_results": loop.eval_results,
        "global_step": loop.steps,
    }


def _train_state(loop: TrainingLoop) -> Mapping[str, Any]:
    now, spent = loop.clock.submission_time(), loop.clock.segments()
    return {
        "validation_goal_reached": loop.crossing is not None,
        "test_goal_reached": False,
        "is_time_remaining": True,
        "last_eval_time": loop.last_eval_time,
        "training_complete": False,
        "accumulated_submission_time": now,
        "accumulated_eval_time": spent["evaluate"],
        "accumulated_logging_time": spent["checkpoint"] + spent["log"],
        "last_step_end_time": now,  # by the submission's clock, as last_eval_time is
    }


def _unpack(loop: TrainingLoop, function: str, result: Any, size: int, container: int) -> tuple[Any, ...]:
    return unpacked(function, result, size, container, lambda value: loop.backend.is_container(value, loop.params))
