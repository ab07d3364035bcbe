"""What a workload declares: its parameters, metric, targets, numbers and variants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from harness.interface import ParameterType, Shape

Framework = Literal["torch", "jax"]
Scale = Literal["mini", "full"]
Direction = Literal["minimize", "maximize"]
FRAMEWORKS: tuple[Framework, ...] = ("torch", "jax")
BASE = "base"
"""The name of the variant that changes nothing."""

InitLaw = Callable[[np.random.RandomState, Shape], np.ndarray]
"""Draws initial values of the given shape; see ``workloads.init_laws``."""


class WorkloadError(Exception):
    """Something is wrong with a workload's name, variant, scale, target or data; says what and how to mend it."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One trainable tensor, declared once for both frameworks.

    Attributes:
      name: dotted path with flax's leaf names, for example ``Dense_0.kernel``. In jax it is the path in the nested
        dict; in torch the leaves ``kernel``, ``scale`` and ``embedding`` are called ``weight``.
      shape: the jax shape. A kernel is ``(..., in, out)``; torch holds a 2-D kernel transposed.
      type: declared here, never guessed from the name.
      init: law of the initial values.
      is_output: whether it belongs to the layer that makes the logits.
    """

    name: str
    shape: Shape
    type: ParameterType
    init: InitLaw
    is_output: bool = False

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One tensor of the model's state that training renews without a gradient, declared once for both frameworks.

    Attributes:
      name: dotted path of the module and ``mean`` or ``var``, for example ``BatchNorm_0.mean``. In jax it is the path
        below ``model_state["batch_stats"]``; in torch the buffer ``running_mean`` or ``running_var`` of the module.
      shape: the same in both frameworks.
      initial: the value that all entries start with.
    """

    name: str
    shape: Shape
    initial: float


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric's bare name (``accuracy``; evaluations prefix the split) and the direction that is better."""

    name: str
    direction: Direction

    def reached(self, value: float, target: float) -> bool:
        """Whether ``value`` meets ``target``; equality counts (while running and when scoring), NaN never does."""
        return value >= target if self.direction == "maximize" else value <= target

    def better(self, value: float, other: float) -> bool:
        return value > other if self.direction == "maximize" else value < other


@dataclasses.dataclass(frozen=True)
class Target:
    validation: float
    test: float | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything about a workload at one scale that is a number.

    Attributes:
      model: the model's configuration; a variant overrides some of its keys.
      data: the data's configuration (sizes, generator settings); part of the cache key.
      batch_size: training batch when the submission does not ask for another one at this scale.
      eval_batch_size: examples per evaluation batch.
      step_hint: the number of steps for which schedules should plan.
      max_runtime_sec: budget of submission time in seconds under the external ruleset.
      eval_period_sec: submission time between evaluations, in seconds.
      eval_period_steps: when given, evaluations follow this grid of steps instead of time, so that the same command
        gives the same steps to target.
      splits: number of examples per split.
      target: fixed targets; None means that they come from the workload's ``targets.json``.
      dropout_rate: the default of ``model_fn``.
      shuffle_run: training examples are shuffled in runs of so many neighbours; above 1 where a permutation of all is
        too large, or where reading them one by one is too slow.
    """

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    batch_size: int
    eval_batch_size: int
    step_hint: int
    max_runtime_sec: float
    eval_period_sec: float
    splits: Mapping[str, int]
    eval_period_steps: int | None = None
    target: Target | None = None
    dropout_rate: float = 0.0
    shuffle_run: int = 1


@dataclasses.dataclass(frozen=True)
class Variant:
    """A small override of the base: keys of the model's configuration, and its own targets at full scale."""

    summary: str
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    full_target: Target | None = None


def _no_decoding() -> np.ndarray:
    raise WorkloadError("the model defines no decode function, so that nothing can be decoded")


@dataclasses.dataclass(frozen=True)
class EvalBatch:
    """One evaluated batch, on the host.

    Attributes:
      batch: the numpy batch, with ``weights`` where examples are padding (0) or real (1).
      loss_summed: the summed loss over valid entries.
      n_valid: the number of valid entries (examples or tokens).
      fetch_logits: brings the logits to the host as numpy; call it only if the metric needs them.
      fetch_decoded: runs the model's decoding function (torch: ``Model.decode(batch)``; jax: ``decode(config, params,
        model_state, batch)`` beside ``apply``) on the batch, and brings what it gives to the host; only for metrics
        that need it. Raises WorkloadError where the model has none.
    """

    batch: Mapping[str, np.ndarray]
    loss_summed: float
    n_valid: float
    fetch_logits: Callable[[], np.ndarray]
    fetch_decoded: Callable[[], np.ndarray] = _no_decoding
