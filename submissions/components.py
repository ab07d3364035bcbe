"""Components that compositions are made of: optimizers, schedules, averagings and initializers; folders are scanned.

A component is one file. Its module docstring says what it is and where it comes from, ``DEFAULTS`` names its
hyperparameters, and its functions do the work:

* ``optimizers/<name>.py``: ``torch(parameters, **hyperparameters)``, where ``parameters`` is a list of
  ``(declared Parameter, tensor)``, builds a ``torch.optim.Optimizer``; ``jax(parameters, **hyperparameters)``, where
  ``parameters`` is a tree of declared Parameters shaped like the model's, builds an optax transformation, and its
  ``learning_rate`` is a number or a function of optax's step count. Those that evaluate at other parameters than they
  train also have ``torch_eval(optimizer)`` and ``torch_train(optimizer)``, and ``jax_eval(state, params) -> params``.
  A component may lack a framework. ``NEEDS`` names what a step wants beside the gradient, a subset of ``CAPABILITIES``.
  ``PARTS`` names components that it wraps.
  ``STATE_PER_PARAMETER`` is the number of values that it keeps for each parameter; where that varies,
  ``state_size(parameters, **hyperparameters)`` gives their total for declared Parameters. ``DECOUPLED_DECAY = False``
  says that weight decay is not simply ``1 - learning rate * weight_decay``.
* ``schedules/<name>.py``: ``multiplier(step, total_steps, **hyperparameters)``, a pure function of an array of steps.
* ``averagings/<name>.py``: an average of the iterates, which is what is evaluated. Framework-neutral: functions of the
  namespace ``xp`` (``submissions.arrays``) and of all parameters as one vector, which ``values()`` gives.
  ``start(xp, values, **hyperparameters) -> state`` (a dict of arrays), ``update(xp, state, values, step, total_steps,
  **hyperparameters) -> state`` after the step with that number, counted from 1, and ``average(xp, state, values) ->
  vector``.
* ``initializers/<name>.py``: ``initialize(values, parameters, rng, layer_outputs, **hyperparameters) -> values``.

Frameworks are imported inside these functions only, so that listing components imports none. A file whose name starts
with an underscore is a part of a component, not one of its own.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from harness.spec import FRAMEWORKS, Framework, Parameter, suggestion

Kind = Literal["optimizer", "schedule", "averaging", "initializer"]
KINDS: tuple[Kind, ...] = ("optimizer", "schedule", "averaging", "initializer")
CAPABILITIES: Mapping[str, str] = {
    "loss": "the batch's mean loss: torch `step(loss=tensor)`, jax `update(..., value=loss)`",
    "gradient": "the batch's gradient at other parameters: torch `step(closure=f)`, where f() sets every `.grad` anew "
    "and returns the loss; jax `update(..., grad_fn=f)`, where f(params, *_) returns gradients",
}
"""What an optimizer may name in ``NEEDS``, and how it gets it; the gradient itself is there in any case."""
_ROOT = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Interval:
    """Values that a hyperparameter may take; an end is excluded where it is open."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = True

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        return f"{'(' if self.open_low else '['}{self.low:g}, {self.high:g}{')' if self.open_high else ']'}"


POSITIVE = Interval(0, open_low=True)
NOT_NEGATIVE = Interval(0)
BELOW_ONE = Interval(0, 1)
FRACTION = Interval(0, 1, open_high=False)

BOUNDS: Mapping[str, Interval] = {
    "learning_rate": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "epsilon": POSITIVE,
    "momentum": BELOW_ONE,
    "beta1": BELOW_ONE,
    "beta2": BELOW_ONE,
    "gain": POSITIVE,
    "tolerance": POSITIVE,
    "max_iterations": Interval(1),
    "warmup_fraction": FRACTION,
    "decay_fraction": FRACTION,
    "final_fraction": FRACTION,
    "horizon": POSITIVE,
    "gradient_clip": POSITIVE,
    "label_smoothing": BELOW_ONE,
}
"""Bounds by hyperparameter name; a component narrows them with a ``BOUNDS`` of its own."""


ONE_MINUS = "one_minus_"
"""``one_minus_beta1: 0.1`` means ``beta1: 0.9``: the form in which a coefficient near 1 is searched on a log scale."""


def setting_problem(key: str, value: Any, default: Any, bounds: Mapping[str, Interval]) -> str | None:
    """What is wrong with a hyperparameter's value, given a default of the same type; None when nothing is."""
    name = key.removeprefix(ONE_MINUS)
    if name == key:
        return _value_problem(name, value, default, bounds)
    problem = _value_problem(name, value, default, {})
    if problem:
        return problem
    problem = _value_problem(name, 1 - value, default, bounds)
    return problem and f"1 - {value!r} = {problem}"


def _value_problem(name: str, value: Any, default: Any, bounds: Mapping[str, Interval]) -> str | None:
    if isinstance(default, bool | str):
        kind = "true or false" if isinstance(default, bool) else "text"
        return None if isinstance(value, type(default)) else f"expected {kind}, found {value!r}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"expected a finite number, found {value!r}"
    if isinstance(default, int) and value != int(value):
        return f"expected a whole number, found {value!r}"
    if name in bounds and value not in bounds[name]:
        return f"{value!r} lies outside {bounds[name]}"
    return None


@dataclasses.dataclass(frozen=True)
class Component:
    """A component and what it declares; ``frameworks`` are those that it has functions for."""

    kind: Kind
    name: str
    summary: str
    defaults: Mapping[str, Any]
    bounds: Mapping[str, Interval]
    frameworks: tuple[Framework, ...]
    module: ModuleType

    @property
    def needs(self) -> tuple[str, ...]:
        """What an optimizer's step wants beside the gradient, as in ``CAPABILITIES``."""
        return tuple(getattr(self.module, "NEEDS", ()))

    def state_size(self, parameters: Sequence[Parameter], **hyperparameters: Any) -> float:
        """Number of values that an optimizer or averaging keeps beside the parameters, as it declares."""
        if hasattr(self.module, "state_size"):
            return self.module.state_size(parameters, **{**self.defaults, **hyperparameters})
        return self.module.STATE_PER_PARAMETER * sum(parameter.size for parameter in parameters)


class UnknownComponentError(Exception):
    """There is no component of that name."""


def names(kind: Kind) -> tuple[str, ...]:
    """Names of the components of a kind, sorted; imports none of them."""
    return tuple(sorted(path.stem for path in (_ROOT / f"{kind}s").glob("[!_]*.py")))


@functools.cache
def load(kind: Kind, name: str) -> Component:
    """The component of that name.

    Raises:
      UnknownComponentError: there is none; the message has the nearest name.
    """
    if name not in names(kind):
        raise UnknownComponentError(f"unknown {kind} {name!r}; {suggestion(name, names(kind))}")
    module = importlib.import_module(f"{__package__}.{kind}s.{name}")
    return Component(
        kind=kind,
        name=name,
        summary=(module.__doc__ or "").strip().partition("\n")[0],
        defaults=module.DEFAULTS,
        bounds={**BOUNDS, **getattr(module, "BOUNDS", {})},
        frameworks=tuple(f for f in FRAMEWORKS if kind != "optimizer" or hasattr(module, f)),
        module=module,
    )


def source_files(chosen: Iterable[Component]) -> tuple[Path, ...]:
    """Files that decide what a composition of these components does."""
    files = set(_ROOT.glob("*.py"))
    for component in chosen:
        folder = _ROOT / f"{component.kind}s"
        parts = (component.name, *getattr(component.module, "PARTS", ()))
        files |= {*(folder / f"{part}.py" for part in parts), *folder.glob("_*.py")}
    return tuple(sorted(files))
