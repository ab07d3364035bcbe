"""LAWA: the mean of the latest few of regularly kept iterates.

Kaddour 2022 (arXiv 2209.14981); Sanyal et al. 2023 (arXiv 2306.03241), with ``length`` iterates, one kept every
``every_fraction`` of the step hint from ``start_fraction`` on. Before that the iterate itself is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.spec import Parameter
from submissions.averagings._interval import due
from submissions.components import Interval

DEFAULTS = {"length": 5, "start_fraction": 0.05, "every_fraction": 0.02}
BOUNDS = {"length": Interval(1)}


def state_size(parameters: Iterable[Parameter], length: int, **_: float) -> int:
    return int(length) * sum(parameter.size for parameter in parameters)


def start(xp: Any, values: Callable[[], Any], length: int, start_fraction: float, every_fraction: float) -> dict:
    first = values()
    return {"queue": xp.stack([xp.zeros_like(first)] * int(length)), "count": xp.counter(first)}


def update(
    xp: Any,
    state: Mapping[str, Any],
    values: Callable[[], Any],
    step: Any,
    total_steps: int,
    length: int,
    start_fraction: float,
    every_fraction: float,
) -> Mapping[str, Any]:
    def kept() -> dict[str, Any]:
        queue = xp.concatenate([state["queue"][1:], values()[None]])
        return {"queue": queue, "count": state["count"] + 1}

    return xp.sometimes(due(step, total_steps, start_fraction, every_fraction), kept, state)


def average(xp: Any, state: Mapping[str, Any], values: Callable[[], Any]) -> Any:
    kept = xp.clip(state["count"], 0, state["queue"].shape[0])
    return xp.where(kept > 0, xp.sum(state["queue"], 0) / xp.clip(kept, 1, None), values())
