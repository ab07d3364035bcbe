"""Update rules that are written once for torch and jax: pure functions of one array on a shared namespace.

A recipe's ``update(xp, gradient, state, at, **settings) -> (change, state)`` says what is subtracted from the array,
learning rate included; ``start(xp, value, parameter, **settings) -> state`` says what it remembers, a dict of arrays.
``xp`` is ``submissions.arrays.namespace``. Decoupled weight decay, multiplied by the learning rate, is added by the
drivers (``recipes_torch``, ``recipes_jax``), unless the recipe decays by itself. A component is then two such functions
and::

    torch, jax = builders(Recipe(start, update), DEFAULTS)
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from harness.spec import Parameter

Layout = Literal["vector", "array", "matrix"]


@dataclasses.dataclass(frozen=True)
class At:
    """Where an update happens.

    Attributes:
      step: the number of the step, from 1; traced in jax.
      rate: its learning rate; 0 at the start of a warm-up.
      value: the array itself; None in the layout ``vector``.
      parameter: what it is declared as; None in the layout ``vector``.
    """

    step: Any
    rate: Any
    value: Any = None
    parameter: Parameter | None = None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """An update rule.

    Attributes:
      layout: what the functions get. ``vector``: arrays of any shape, for rules that treat each element alike (torch
        hands over all parameters as one vector); ``array``: one parameter as it is; ``matrix``: one parameter, kernels
        as ``(fan in, fan out)`` in both frameworks, other parameters with several axes as ``(all but the last, last)``,
        single axes as they are.
      decays: whether ``update`` takes ``weight_decay`` as a setting and applies it.
    """

    start: Callable[..., dict[str, Any]]
    update: Callable[..., tuple[Any, Mapping[str, Any]]]
    layout: Layout = "vector"
    decays: bool = False


def builders(recipe: Recipe, defaults: Mapping[str, Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A component's functions ``torch`` and ``jax``, whose hyperparameters are those of ``defaults``."""

    def of(framework: str) -> Callable[..., Any]:
        def build(parameters: Any, **hyperparameters: Any) -> Any:
            module = importlib.import_module(f"{__package__}.recipes_{framework}")
            rate = hyperparameters.pop("learning_rate")
            decay = 0.0 if recipe.decays else hyperparameters.pop("weight_decay", 0.0)
            return module.optimizer(recipe, parameters, rate, decay, hyperparameters)

        names = ("parameters", *defaults)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        build.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
        build.__doc__ = f"See ``submissions.components``: the optimizer in {framework}."
        return build

    return of("torch"), of("jax")


# ---- pieces that update rules share ----


def moments(gradient: Any, state: Mapping[str, Any], beta1: float, beta2: float) -> tuple[Any, Any]:
    """Exponential averages of the gradient and of its square (Kingma & Ba 2015), one step on."""
    mean = beta1 * state["mean"] + (1 - beta1) * gradient
    return mean, beta2 * state["square"] + (1 - beta2) * gradient * gradient


def adam(xp: Any, mean: Any, square: Any, step: Any, beta1: float, beta2: float, epsilon: float) -> Any:
    """Adam's direction from its averages, both corrected for their start at zero."""
    return (mean / (1 - beta1**step)) / (xp.sqrt(square / (1 - beta2**step)) + epsilon)


def norm(xp: Any, array: Any) -> Any:
    """The Euclidean norm of all elements."""
    return xp.sqrt(xp.sum(array * array))


def zeros(*names: str) -> Callable[..., dict[str, Any]]:
    """A ``start`` of that many arrays of zeros in the parameter's shape."""
    return functools.partial(_zeros, names)


def _zeros(names: tuple[str, ...], xp: Any, value: Any, parameter: Parameter | None, **_: Any) -> dict[str, Any]:
    return {name: xp.zeros_like(value) for name in names}
