"""What optimizers with a Kronecker-factored preconditioner share: one square matrix for each side of a kernel.

A side longer than ``largest_side`` has none, as in distributed Shampoo (Anil et al. 2020, arXiv 2002.09018); nor has a
parameter with a single axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.spec import Parameter
from submissions.kernels import general_matrix_shape
from submissions.recipes import At, adam, moments, norm

DEFAULTS = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.99,
    "beta3": 0.95,
    "epsilon": 1e-8,
    "matrix_epsilon": 1e-6,
    "every": 20,
    "largest_side": 1024,
    "weight_decay": 0.0,
}
_TIE_BREAK = 1e-6


def sides(shape: Sequence[int], largest_side: int) -> tuple[int, ...]:
    """Axes of a matrix that have a preconditioner."""
    return tuple(axis for axis in range(len(shape)) if len(shape) == 2 and shape[axis] <= largest_side)


def state_size(parameters: Sequence[Parameter], largest_side: int, **_: float) -> int:
    """Two averages in the parameter's shape, and two square matrices for each side."""
    shapes = [general_matrix_shape(parameter) for parameter in parameters]
    squares = [shape[axis] ** 2 for shape in shapes for axis in sides(shape, largest_side)]
    return 2 * sum(parameter.size for parameter in parameters) + 2 * sum(squares)


def start(xp: Any, value: Any, parameter: Parameter, largest_side: int, **_: float) -> dict[str, Any]:
    """The averages, and for each side the statistics (at zero) and what is made of them (the identity)."""
    identities = {axis: xp.identity(value.shape[axis], value) for axis in sides(value.shape, largest_side)}
    return {
        "mean": xp.zeros_like(value),
        "square": xp.zeros_like(value),
        "statistics": [xp.zeros_like(identity) for identity in identities.values()],
        "factors": list(identities.values()),
    }


def statistics(gradient: Any, state: Mapping[str, Any], beta3: float, largest_side: int) -> list[Any]:
    """Averages of G G' and G' G, for the sides that have them."""
    new = [
        gradient @ gradient.T if axis == 0 else gradient.T @ gradient for axis in sides(gradient.shape, largest_side)
    ]
    return [beta3 * old + (1 - beta3) * outer for old, outer in zip(state["statistics"], new, strict=True)]


def eigenvectors(xp: Any, matrix: Any) -> tuple[Any, Any]:
    """Eigenvalues and eigenvectors of a symmetric matrix that may be singular.

    A faint slope on the diagonal fixes the basis where eigenvalues are equal, which would otherwise be left to the
    rounding of the linear algebra at hand.
    """
    n = matrix.shape[0]
    identity = xp.identity(n, matrix)
    slope = xp.cumsum(xp.ones_like(matrix[0]), 0) / n
    scale = xp.sum(matrix * identity) / n
    return xp.linalg.eigh(matrix + _TIE_BREAK * scale * identity * slope)


def inverse_root(xp: Any, matrix: Any, order: int, matrix_epsilon: float) -> Any:
    """``matrix^(-1/order)``, its eigenvalues lifted by ``matrix_epsilon`` times the largest one."""
    values, vectors = xp.linalg.eigh(matrix)
    values = xp.clip(values, 0.0, None)
    lifted = values + matrix_epsilon * values[-1] + 1e-30
    return (vectors * lifted ** (-1 / order)) @ vectors.T


def grafted_update(
    combine: Callable[[Any, Sequence[Any], Sequence[int]], Any],
    orders: tuple[int, int],
    xp: Any,
    gradient: Any,
    state: Mapping[str, Any],
    at: At,
    beta1: float,
    beta2: float,
    beta3: float,
    epsilon: float,
    matrix_epsilon: float,
    every: int,
    largest_side: int,
) -> tuple[Any, dict[str, Any]]:
    """A preconditioned direction with the length of Adam's, by parameter; a recipe's update but for two arguments.

    Args:
      combine: (averaged gradient, inverse roots, their axes) -> direction, of any length.
      orders: the order of the inverse roots where one side has one, and where both have.
    """
    mean, square = moments(gradient, state, beta1, beta2)
    graft = adam(xp, mean, square, at.step, beta1, beta2, epsilon)
    new = {"mean": mean, "square": square, "statistics": [], "factors": []}
    axes = sides(gradient.shape, largest_side)
    if not axes:
        return at.rate * graft, new
    new["statistics"] = statistics(gradient, state, beta3, largest_side)
    new["factors"] = xp.sometimes(
        (at.step - 1) % int(every) == 0,
        lambda: [inverse_root(xp, matrix, orders[len(axes) - 1], matrix_epsilon) for matrix in new["statistics"]],
        state["factors"],
    )
    direction = combine(mean, new["factors"], axes)
    length = norm(xp, direction)
    return at.rate * norm(xp, graft) * direction / xp.where(length > 0, length, 1.0), new


def applied(factor: Any, matrix: Any, axis: int) -> Any:
    """A symmetric factor on one side of a matrix."""
    return factor @ matrix if axis == 0 else matrix @ factor
