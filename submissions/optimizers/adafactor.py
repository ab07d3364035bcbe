"""Adafactor: second moments kept as row and column means, steps relative to the size of the parameter.

Shazeer & Stern 2018 (arXiv 1804.04235, algorithms 4 and 5, with the momentum of section 7). Kernels and embeddings are
taken as matrices; vectors keep their second moments whole. The second moments' decay at step t is
``1 - t^-decay_exponent``; an update whose root mean square is above ``clipping`` is scaled down to it, and then
multiplied by the parameter's own root mean square, 1e-3 at least. Decoupled weight decay, multiplied by the learning
rate. ``torch.optim.Adafactor`` caps the learning rate by the step and has no momentum, and optax's factors the two
largest axes; the same update on matrices serves both frameworks here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.spec import Parameter
from submissions.components import POSITIVE
from submissions.kernels import general_matrix_shape
from submissions.recipes import At, Recipe, builders

DEFAULTS = {
    "learning_rate": 1e-2,
    "momentum": 0.9,
    "decay_exponent": 0.8,
    "clipping": 1.0,
    "epsilon": 1e-30,
    "weight_decay": 0.0,
}
BOUNDS = {"decay_exponent": POSITIVE, "clipping": POSITIVE}
_SMALLEST_SCALE = 1e-3


def state_size(parameters: Sequence[Parameter], **_: float) -> int:
    shapes = [general_matrix_shape(parameter) for parameter in parameters]
    return sum(p.size for p in parameters) + sum(map(sum, shapes))


def start(xp: Any, value: Any, parameter: Parameter, **_: float) -> dict[str, Any]:
    zeros = xp.zeros_like(value)
    if value.ndim < 2:
        return {"momentum": zeros, "square": zeros}
    return {"momentum": zeros, "rows": xp.mean(zeros, 1), "columns": xp.mean(zeros, 0)}


def update(
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    momentum: float,
    decay_exponent: float,
    clipping: float,
    epsilon: float,
) -> tuple[Any, dict[str, Any]]:
    keep = 1 - at.step ** (-decay_exponent)
    square = gradient * gradient + epsilon
    if gradient.ndim < 2:
        seconds = {"square": keep * state["square"] + (1 - keep) * square}
        direction = gradient / xp.sqrt(seconds["square"])
    else:
        rows = keep * state["rows"] + (1 - keep) * xp.mean(square, 1)
        columns = keep * state["columns"] + (1 - keep) * xp.mean(square, 0)
        seconds = {"rows": rows, "columns": columns}
        direction = gradient / xp.sqrt(rows / xp.mean(rows))[:, None] / xp.sqrt(columns)
    direction = direction / xp.clip(_rms(xp, direction) / clipping, 1.0, None)
    change = at.rate * direction * xp.clip(_rms(xp, at.value), _SMALLEST_SCALE, None)
    average = momentum * state["momentum"] + (1 - momentum) * change
    return average, {"momentum": average, **seconds}


def _rms(xp: Any, array: Any) -> Any:
    return xp.sqrt(xp.mean(array * array))


torch, jax = builders(Recipe(start, update, layout="matrix"), DEFAULTS)
