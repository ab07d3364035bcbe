"""LAWA with an exponential moving average of the iterates.

Kaddour 2022 (arXiv 2209.14981) averages the latest weights; Ajroldi et al. 2025 (arXiv 2502.06761, section 3) compare
the queue with the exponential moving average, as in AlgoPerf's entry of that name. Every ``every_fraction`` of the step
hint, from ``start_fraction`` on, the average moves to the iterate by ``1 - decay``; before, it is the iterate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from submissions.averagings._interval import due

DEFAULTS = {"decay": 0.9, "start_fraction": 0.05, "every_fraction": 0.005}
STATE_PER_PARAMETER = 1


def start(xp: Any, values: Callable[[], Any], decay: float, start_fraction: float, every_fraction: float) -> dict:
    return {"mean": values(), "count": xp.counter(values())}


def update(
    xp: Any,
    state: Mapping[str, Any],
    values: Callable[[], Any],
    step: Any,
    total_steps: int,
    decay: float,
    start_fraction: float,
    every_fraction: float,
) -> Mapping[str, Any]:
    def moved() -> dict[str, Any]:
        weight = xp.where(state["count"] > 0, decay, 0.0)
        return {"mean": weight * state["mean"] + (1 - weight) * values(), "count": state["count"] + 1}

    return xp.sometimes(due(step, total_steps, start_fraction, every_fraction), moved, state)


def average(xp: Any, state: Mapping[str, Any], values: Callable[[], Any]) -> Any:
    return xp.where(state["count"] > 0, state["mean"], values())
