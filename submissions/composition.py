"""Compositions: entries written in YAML as optimizer + schedule + averaging + initializer, for both frameworks.

::

    name: nadamw_cosine
    summary: what the leaderboard shows beside the name
    framework: both                  # torch, jax or both (the default: every framework that the components have)
    optimizer: {name: nadamw, weight_decay: $weight_decay, one_minus_beta1: $one_minus_beta1}
    schedule: {name: warmup_cosine, warmup_fraction: $warmup_fraction, horizon: 0.75}
    averaging: none                  # or lawa_ema, lawa_queue: evaluate an average of the iterates
    initializer: default             # a bare name, or a mapping with hyperparameters
    gradient_clip: 1.0               # global norm of the gradient
    label_smoothing: 0.1
    batch_size: {mnist: 128}         # other workloads keep their own
    track: algoperf                  # initializers where the initializer is not the default
    search_space: {learning_rate: {min: 1e-4, max: 1e-2, scaling: log}, ...}    # external ruleset
    defaults: {learning_rate: 1e-3, ...}                                        # self-tuning ruleset

``$name`` stands for a hyperparameter of the trial: from the search space's point, else from ``defaults``. A
``learning_rate`` that is not given means ``$learning_rate`` wherever that is defined. ``one_minus_x: v`` sets ``x`` to
``1 - v``. Every schedule also has a ``horizon``: the share of the workload's step hint over which it is laid out.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from harness.spec import Framework, TrainingCompleteError
from submissions import _reading
from submissions._checking import Problem, problems
from submissions._reading import OPTIONS, component, frameworks, source_digest
from submissions.components import BOUNDS, KINDS, ONE_MINUS, Component, Interval, Kind, setting_problem

__all__ = ["CompositionError", "Plan", "Problem", "frameworks", "load", "plan", "problems", "source_digest"]


class CompositionError(Exception):
    """A composition, or the values that a trial gives its placeholders, cannot be used."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A composition with every placeholder resolved, for one trial.

    Attributes:
      settings: hyperparameters of each kind of component.
      multipliers: the schedule at steps 0, 1, ..., up to its horizon, where its last value holds on.
      gradient_clip: largest global norm of the gradient; None leaves it as it is.
    """

    settings: Mapping[Kind, Mapping[str, Any]]
    multipliers: tuple[float, ...]
    gradient_clip: float | None
    label_smoothing: float

    @property
    def last_step(self) -> int:
        return len(self.multipliers) - 1

    def multiplier(self, step: int) -> float:
        """What the learning rate is multiplied by.

        Raises:
          TrainingCompleteError: it is 0 from here on.
        """
        if step < self.last_step:
            return self.multipliers[step]
        if self.multipliers[-1] == 0:
            raise TrainingCompleteError(f"the learning rate is 0 from step {self.last_step} on")
        return self.multipliers[-1]


def plan(data: Mapping[str, Any], hyperparameters: Any, step_hint: int, defaults: bool) -> Plan:
    """A sound composition for one trial.

    Args:
      hyperparameters: the trial's namedtuple, or None under the self-tuning ruleset.
      step_hint: the workload's.
      defaults: take every placeholder from ``defaults``; else they only fill in for the trial's point.

    Raises:
      CompositionError: a placeholder has no value, or a value does not fit.
    """
    point = {} if defaults or hyperparameters is None else hyperparameters._asdict()
    values = {**_reading.defaults(data), **point}
    settings = {kind: _resolved_settings(data, kind, values) for kind in KINDS}
    options = {
        key: _resolved((key,), data[key], values, default, BOUNDS)
        for key, default in OPTIONS.items()
        if data.get(key) is not None
    }
    horizon = max(round(settings["schedule"].pop("horizon") * step_hint), 1)
    schedule = component(data, "schedule").module
    return Plan(
        settings=settings,
        multipliers=tuple(schedule.multiplier(np.arange(horizon + 1), horizon, **settings["schedule"]).tolist()),
        gradient_clip=options.get("gradient_clip"),
        label_smoothing=options.get("label_smoothing", 0.0),
    )


def _resolved_settings(data: Mapping[str, Any], kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    chosen = component(data, kind)
    settings = _reading.hyperparameters(chosen)
    for key, written in _reading.settings(data, kind).items():
        name = key.removeprefix(ONE_MINUS)
        value = _resolved((kind, key), written, values, settings[name], chosen.bounds)
        settings[name] = value if name == key else 1 - value
    return settings


def _resolved(
    path: tuple[str, ...], written: Any, values: Mapping[str, Any], default: Any, bounds: Mapping[str, Interval]
) -> Any:
    """The value of a number or placeholder, checked."""
    name = _reading.placeholder(written)
    if name is not None and name not in values:
        given = ", ".join(values) or "none"
        raise CompositionError(f"{'.'.join(path)}: ${name} has no value; the trial's hyperparameters are: {given}")
    value = written if name is None else values[name]
    problem = setting_problem(path[-1], value, default, bounds)
    if problem:
        raise CompositionError(f"{'.'.join(path)}: {problem}")
    return value


def load(data: Mapping[str, Any], framework: Framework, defaults: bool) -> SimpleNamespace:
    """AlgoPerf's functions for the composition in one framework, which is imported.

    Args:
      defaults: whether trials run with the composition's ``defaults`` (self-tuning) or a point of its search space.

    Raises:
      CompositionError: the composition is malformed, or does not exist in that framework.
    """
    found = problems(data)
    if found:
        raise CompositionError("\n".join(map(str, found)))
    if framework not in frameworks(data):
        raise CompositionError(f"{data['name']} has no {framework} version; it has {', '.join(frameworks(data))}")

    @functools.lru_cache(maxsize=8)
    def plan_of(hyperparameters: Any, step_hint: int) -> Plan:
        return plan(data, hyperparameters, step_hint, defaults)

    chosen = component(data, "optimizer")
    averaging = component(data, "averaging").module if _reading.averages(data) else None
    interpreter = importlib.import_module(f"{__package__}.composition_{framework}")
    functions = interpreter.functions(chosen, averaging, plan_of)
    functions.update(data_selection=data_selection, get_batch_size=_batch_sizes(data))
    if not _reading.keeps_initial_values(data):
        functions["init_model_params"] = _initializer(component(data, "initializer"), plan_of)
    return SimpleNamespace(**functions)


def data_selection(
    workload: Any,
    input_queue: Iterator[Any],
    optimizer_state: Any,
    current_param_container: Any,
    model_state: Any,
    hyperparameters: Any,
    global_step: int,
    rng: Any,
) -> Any:
    return next(input_queue)


def _batch_sizes(data: Mapping[str, Any]) -> Callable[[str], int]:
    sizes = data.get("batch_size") or {}

    def get_batch_size(workload_name: str) -> int:
        if workload_name not in sizes:
            raise ValueError(f"{data['name']} has no batch size for {workload_name}; the workload's own is used")
        return int(sizes[workload_name])

    return get_batch_size


def _initializer(chosen: Component, plan_of: Callable[[Any, int], Plan]) -> Callable[..., Any]:
    def init_model_params(
        workload: Any, model_params: Any, model_state: Any, hyperparameters: Any, input_queue: Iterator[Any], rng: Any
    ) -> tuple[Any, Any]:
        settings = plan_of(hyperparameters, workload.step_hint).settings["initializer"]
        batch = functools.cache(lambda: next(input_queue))

        def layer_outputs(values: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
            return workload.layer_outputs(workload.import_parameters(model_params, values), model_state, batch())

        values = chosen.module.initialize(
            workload.export_parameters(model_params),
            workload.parameters(),
            np.random.RandomState(np.asarray(rng).astype(np.uint32)),
            layer_outputs,
            **settings,
        )
        return workload.import_parameters(model_params, values), model_state

    return init_model_params
