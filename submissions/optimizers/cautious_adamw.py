"""Cautious AdamW: AdamW that moves no parameter against its current gradient.

Liang et al. 2024 (arXiv 2411.16085, algorithm 1): elements of the update whose sign differs from the gradient's are
dropped, and the rest grows by the inverse of the share that is kept, within each parameter. Decoupled weight decay,
multiplied by the learning rate, is not masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from submissions.recipes import At, Recipe, adam, builders, moments, zeros

DEFAULTS = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0}
STATE_PER_PARAMETER = 2
_SMALLEST_SHARE = 1e-3


def update(
    xp: Any, gradient: Any, state: Mapping[str, Any], at: At, beta1: float, beta2: float, epsilon: float
) -> tuple[Any, dict[str, Any]]:
    mean, square = moments(gradient, state, beta1, beta2)
    direction = adam(xp, mean, square, at.step, beta1, beta2, epsilon)
    agrees = xp.where(direction * gradient > 0, xp.ones_like(gradient), xp.zeros_like(gradient))
    share = xp.clip(xp.mean(agrees), _SMALLEST_SHARE, None)
    return at.rate * direction * (agrees / share), {"mean": mean, "square": square}


torch, jax = builders(Recipe(zeros("mean", "square"), update, layout="array"), DEFAULTS)
