"""Shampoo: the averaged gradient between inverse fourth roots of its row and column covariances, grafted to Adam.

Gupta, Koren & Singer 2018 (arXiv 1802.09568, algorithm 1), in the form of Anil et al. 2020 (arXiv 2002.09018) and Shi
et al. 2023 (arXiv 2309.06497), which won AlgoPerf's external tuning ruleset: exponential averages (``beta3``), roots
taken every so many steps, each parameter's direction scaled to the length of Adam's, sides above ``largest_side`` left
out (one side alone has its square root), vectors left to Adam. The covariances' scale drops out by grafting, so that
their start at zero needs no correction. Decoupled weight decay, multiplied by the learning rate.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from submissions.components import BELOW_ONE, POSITIVE, Interval
from submissions.optimizers import _kronecker
from submissions.recipes import Recipe, builders

DEFAULTS = _kronecker.DEFAULTS
BOUNDS = {"beta3": BELOW_ONE, "matrix_epsilon": POSITIVE, "every": Interval(1), "largest_side": Interval(0)}
state_size = _kronecker.state_size


def combine(mean: Any, factors: Sequence[Any], axes: Sequence[int]) -> Any:
    for factor, axis in zip(factors, axes, strict=True):
        mean = _kronecker.applied(factor, mean, axis)
    return mean


update = functools.partial(_kronecker.grafted_update, combine, (2, 4))
torch, jax = builders(Recipe(_kronecker.start, update, layout="matrix"), DEFAULTS)
