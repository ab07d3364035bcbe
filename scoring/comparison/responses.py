"""What is compared: one number per run, smaller is better, and what a difference of two means to a reader."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from scoring.comparison.samples import Run, Sample
from scoring.errors import ScoringError

PENALTY = 2.0
"""A miss counts as this many times the budget (PAR2), inside tests on the logarithm of time."""


@dataclasses.dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
      name: as on the command line.
      label: what a difference is, in words.
      cost: a run's value, smaller is better, for a metric's direction.
      is_ratio: whether a difference is the logarithm of a ratio.
      margin: default width of "no meaningful difference": a ratio, a relative change or a share.
      words: for first better than second, and the reverse.
      censored: whether a miss has only a penalised value.
    """

    name: str
    label: str
    cost: Callable[[Run, str], float]
    is_ratio: bool
    margin: float
    words: tuple[str, str]
    censored: bool

    def costs(self, sample: Sample) -> np.ndarray:
        """Costs ``(units,)``.

        Raises:
          ScoringError: a run without evaluation has no metric.
        """
        found = np.array([self.cost(run, sample.direction) for run in sample.runs])
        if np.isnan(found).any():
            run = sample.runs[int(np.isnan(found).argmax())]
            raise ScoringError(
                f"{sample.submission} on {sample.workload} has no {self.name} in {run.unit}: "
                f"{run.folder or 'the run'} holds no usable evaluation; choose --response reached or log-time"
            )
        return found

    def margin_in_cost(self, margin: float | None, first: np.ndarray, second: np.ndarray) -> float:
        """Half width of the region of no meaningful difference, in units of the cost.

        Raises:
          ScoringError: the margin is not above 1 for ratios and relative changes, or not within (0, 1) for shares.
        """
        m = self.margin if margin is None else margin
        if not math.isfinite(m) or m <= 1:
            raise ScoringError(f"margin {m:g}: write it as a ratio above 1, such as 1.1 for 10%")
        if self.is_ratio:
            return math.log(m)
        if self.name == "metric":
            return (m - 1) * float(np.abs(np.concatenate([first, second])).mean())
        return m - 1


def _log_penalised(time: float, limit: float) -> float:
    return math.log(time if math.isfinite(time) else PENALTY * limit)


RESPONSES: Mapping[str, Response] = {
    response.name: response
    for response in (
        Response(
            "log-time",
            "ratio of times to target",
            lambda run, _: _log_penalised(run.wall, run.wall_limit),
            True,
            1.1,
            ("faster", "slower"),
            True,
        ),
        Response(
            "steps",
            "ratio of steps to target",
            lambda run, _: _log_penalised(run.steps, run.steps_limit),
            True,
            1.1,
            ("faster", "slower"),
            True,
        ),
        Response(
            "metric",
            "difference of the best validation metric at the budget",
            lambda run, direction: run.metric if direction == "minimize" else -run.metric,
            False,
            1.01,
            ("better", "worse"),
            False,
        ),
        Response(
            "reached",
            "difference of the shares of runs that reach the target",
            lambda run, _: 0.0 if math.isfinite(run.wall) else 1.0,
            False,
            1.1,
            ("better", "worse"),
            False,
        ),
        Response(
            "right",
            "difference of error rates on the test set",
            lambda run, _: math.nan if run.right is None else 1 - float(run.right.mean()),
            False,
            1.01,
            ("better", "worse"),
            False,
        ),
    )
}
"""Responses by name; their order is that of the documentation."""
