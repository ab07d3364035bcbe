"""Polynomial-decay averaging: a mean of all iterates in which the weight of an iterate grows with a power of its step.

Shamir & Zhang 2013 (arXiv 1212.1824); what Ivgi et al. 2023 (arXiv 2302.12022) evaluate DoG at, with power 8. About the
last ``1 / (power + 1)`` of the iterates count; none has to be chosen for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from submissions.components import NOT_NEGATIVE

DEFAULTS = {"power": 8.0}
BOUNDS = {"power": NOT_NEGATIVE}
STATE_PER_PARAMETER = 1


def start(xp: Any, values: Callable[[], Any], power: float) -> dict[str, Any]:
    return {"mean": values()}


def update(
    xp: Any, state: Mapping[str, Any], values: Callable[[], Any], step: Any, total_steps: int, power: float
) -> Mapping[str, Any]:
    share = (power + 1) / (power + step)
    return {"mean": state["mean"] + share * (values() - state["mean"])}


def average(xp: Any, state: Mapping[str, Any], values: Callable[[], Any]) -> Any:
    return state["mean"]
