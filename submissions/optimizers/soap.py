"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's covariances.

Vyas et al. 2024 (arXiv 2409.11321, algorithms 3 and 4). The basis comes from the first gradient by an
eigendecomposition, and then from one power iteration with a QR decomposition every so many steps, its columns kept in
the order of their eigenvalues, and the second moments with them. The first gradient gives a kernel's basis and no step:
in its own basis all but the diagonal is rounding, which Adam would blow up. Sides above ``largest_side`` keep the
standard basis, vectors get Adam. Decoupled weight decay, multiplied by the learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from submissions.components import BELOW_ONE, Interval
from submissions.optimizers import _kronecker
from submissions.recipes import At, Recipe, adam, builders

DEFAULTS = {key: value for key, value in _kronecker.DEFAULTS.items() if key != "matrix_epsilon"}
BOUNDS = {"beta3": BELOW_ONE, "every": Interval(1), "largest_side": Interval(0)}
state_size = _kronecker.state_size


def update(
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    beta1: float,
    beta2: float,
    beta3: float,
    epsilon: float,
    every: int,
    largest_side: int,
) -> tuple[Any, dict[str, Any]]:
    axes = _kronecker.sides(gradient.shape, largest_side)
    covariances = _kronecker.statistics(gradient, state, beta3, largest_side)

    def first() -> tuple[Any, Any]:
        bases = [_kronecker.eigenvectors(xp, matrix)[1] for matrix in covariances]
        return bases, state["square"]

    def turned() -> tuple[Any, Any]:
        return _turned(xp, covariances, state["factors"], state["square"], axes)

    bases, square = state["factors"], state["square"]
    if axes:
        due = (at.step > 1) & ((at.step - 1) % int(every) == 0)
        bases, square = xp.sometimes(due, turned, (bases, square))
        bases, square = xp.sometimes(at.step == 1, first, (bases, square))
    moving = 1.0 * (at.step > 1) if axes else 1.0
    mean = beta1 * state["mean"] + moving * (1 - beta1) * gradient
    seen = _rotated(gradient, bases, axes)
    square = beta2 * square + moving * (1 - beta2) * seen * seen
    count = at.step - 1.0 * bool(axes) * moving
    direction = adam(xp, _rotated(mean, bases, axes), square, count, beta1, beta2, epsilon)
    direction = _rotated(direction, [basis.T for basis in bases], axes)
    new = {"mean": mean, "square": square, "statistics": covariances, "factors": bases}
    return at.rate * direction, new


def _rotated(matrix: Any, bases: Any, axes: Any) -> Any:
    """The matrix in the given bases of its rows and columns."""
    for basis, axis in zip(bases, axes, strict=True):
        matrix = basis.T @ matrix if axis == 0 else matrix @ basis
    return matrix


def _turned(xp: Any, covariances: Any, bases: Any, square: Any, axes: Any) -> tuple[Any, Any]:
    """One power iteration; the second moments follow their columns."""
    new = []
    for matrix, basis, axis in zip(covariances, bases, axes, strict=True):
        order = xp.argsort(-xp.sum(basis * (matrix @ basis), 0))
        square = square[order] if axis == 0 else square[:, order]
        new.append(xp.linalg.qr(matrix @ basis[:, order])[0])
    return new, square


torch, jax = builders(Recipe(_kronecker.start, update, layout="matrix"), DEFAULTS)
