"""Amos: Adam-like steps with a learning rate and a weight decay that follow from the model's expected scale.

Tian & Parikh 2022 (arXiv 2210.11693, algorithm 1, with the momentum of section 3.2). ``learning_rate`` is the paper's
xi, meant for warm-up and a constant; the decay of both is the algorithm's own. The expected scale eta of a parameter
comes from its declared type: ``1 / sqrt(fan in)`` for kernels, ``1 / sqrt(width)`` for embeddings, 1 for scales and
0.5 for biases. Second moments are one number per output of a kernel, per row of an embedding and per vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.spec import Parameter, ParameterType
from submissions.components import NOT_NEGATIVE
from submissions.kernels import general_matrix_shape, is_kernel
from submissions.recipes import At, Recipe, builders

DEFAULTS = {"learning_rate": 1e-2, "momentum": 0.9, "beta2": 0.999, "c": 0.25, "d": 0.25, "epsilon": 1e-18}
BOUNDS = {"c": NOT_NEGATIVE, "d": NOT_NEGATIVE}
_SCALES = frozenset({ParameterType.LAYER_NORM_SCALE, ParameterType.BATCH_NORM_SCALE})


def reduced_axis(parameter: Parameter) -> int:
    """The axis of the parameter's matrix over which squares are averaged."""
    return 0 if is_kernel(parameter) or len(parameter.shape) < 2 else 1


def expected_scale(parameter: Parameter) -> float:
    """The paper's eta: the root mean square that the trained parameter is expected to have."""
    shape = general_matrix_shape(parameter)
    if len(shape) < 2:
        return 1.0 if parameter.type in _SCALES else 0.5
    return shape[reduced_axis(parameter)] ** -0.5


def state_size(parameters: Sequence[Parameter], **_: float) -> int:
    shapes = [general_matrix_shape(p) for p in parameters]
    reduced = [s[1 - reduced_axis(p)] if len(s) > 1 else 1 for p, s in zip(parameters, shapes, strict=True)]
    return sum(p.size for p in parameters) + 2 * sum(reduced)


def start(xp: Any, value: Any, parameter: Parameter, **_: float) -> dict[str, Any]:
    reduced = xp.zeros_like(xp.mean(value, reduced_axis(parameter), keepdims=True))
    return {"momentum": xp.zeros_like(value), "square": reduced, "decay": xp.zeros_like(reduced)}


def update(
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    momentum: float,
    beta2: float,
    c: float,
    d: float,
    epsilon: float,
) -> tuple[Any, dict[str, Any]]:
    eta = expected_scale(at.parameter)
    square = xp.mean(gradient * gradient, reduced_axis(at.parameter), keepdims=True)
    average = beta2 * state["square"] + (1 - beta2) * square
    inverse = (1 - beta2**at.step) / (average + epsilon)
    gain = at.rate**2 * inverse * square / xp.sqrt(1 + c * at.rate**0.5 * state["decay"])
    step = at.rate * eta * xp.sqrt(inverse) * gradient + gain / 2 * at.value
    step = step / (1 + d * (at.rate * eta) ** 0.5 * state["decay"])
    change = momentum * state["momentum"] + (1 - momentum) * step
    return change, {"momentum": change, "square": average, "decay": state["decay"] * (1 + gain) + gain}


torch, jax = builders(Recipe(start, update, layout="matrix"), DEFAULTS)
