"""CASPR: Shampoo's factors as a sum over the axes in the place of their product.

Duvvuri et al. 2024 (ICLR, "Combining axes preconditioners through Kronecker approximation for deep learning",
algorithm 1): with L and R the inverse fourth roots of the covariances, the direction is LLG + 2 LGR + GRR. Averages,
grafting, sides and vectors as in ``shampoo``; AlgoPerf's entry caspr_adaptive grafts to Adam in the same way. Decoupled
weight decay, multiplied by the learning rate.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from submissions.optimizers import _kronecker
from submissions.optimizers.shampoo import BOUNDS, state_size
from submissions.recipes import Recipe, builders

__all__ = ["BOUNDS", "DEFAULTS", "jax", "state_size", "torch"]
DEFAULTS = _kronecker.DEFAULTS


def combine(mean: Any, factors: Sequence[Any], axes: Sequence[int]) -> Any:
    """The sum of the factors, each on its axis, applied twice."""
    for _ in range(2):
        parts = [_kronecker.applied(factor, mean, axis) for factor, axis in zip(factors, axes, strict=True)]
        mean = sum(parts[1:], parts[0])
    return mean


update = functools.partial(_kronecker.grafted_update, combine, (4, 4))
torch, jax = builders(Recipe(_kronecker.start, update, layout="matrix"), DEFAULTS)
