"""Parameters at moments of a probe's runs, and how those of two runs differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

_TINY = 1e-30


class Moment(NamedTuple):
    """Parameters after some steps: as update_params gave them back, and as they are evaluated or, where no evaluation
    was due, the same again."""

    trained: Mapping[str, np.ndarray]
    evaluated: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class FirstRun:
    """The run that others are compared with: half-way, before the last step, and at the end."""

    point: Mapping[str, Any] | None
    middle: Moment
    late: Moment
    end: Moment


def difference(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> str:
    """The name of a parameter that differs, or nothing."""
    return next((name for name in a if not np.array_equal(a[name], b[name], equal_nan=True)), "")


def differing(a: Moment, b: Moment) -> str:
    """The name of a parameter that differs, as it is trained or as it is evaluated."""
    return difference(a.trained, b.trained) or difference(a.evaluated, b.evaluated)


def gone_elsewhere(first: FirstRun, resumed: Moment) -> float:
    """How far from the first run's end a resumed run ends, as a share of the way from the checkpoint on."""
    shares = [
        _distance(end, again) / max(_distance(end, middle), _TINY)
        for end, again, middle in zip(first.end, resumed, first.middle, strict=True)
    ]
    return float(np.max(shares))


def _distance(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(a[n], np.float64) - b[n])) for n in a)))
