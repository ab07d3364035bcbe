"""Nested cross-validation: what a submission's tuned procedure is worth (Varma & Simon 2006, BMC Bioinformatics 7).

The inner loop chooses a point by the submission's own search space and trial budget; the outer loop scores the choice
on data that the choice has not seen. The result belongs to the procedure, and to no single point.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from scoring.comparison.responses import Response
from scoring.comparison.samples import Run, how_scaled
from scoring.errors import ScoringError
from scoring.statistics import FoldSummary, fold_summary

Point = Hashable
"""A point of the search space; here only its identity matters."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the inner loop of one outer fold chose.

    Attributes:
      fold: the outer fold.
      point: index of the chosen point.
      inner_median: median response of that point over the inner parts (a time, or the metric).
      hits, parts: inner runs that reached the target, of so many.
      outer: response of the chosen point on the outer fold; infinite for a missed target.
      folder: the outer record.
    """

    fold: str
    point: int
    inner_median: float
    hits: int
    parts: int
    outer: float
    folder: str


@dataclasses.dataclass(frozen=True)
class NestedResult:
    """The tuned procedure's outer scores.

    Attributes:
      response: what they are.
      choices: one per outer fold.
      summary: mean, spread and interval of the outer costs (logarithms for times), with its warning.
      non_nested_point, non_nested_mean: the point with the best mean over the same outer folds, and that mean: what
        would be reported without nesting.
      optimism: nested mean less non-nested mean, in units of the cost; at least 0, since the best is chosen afterwards.
      same_point: share of outer folds that chose the most common point.
      is_ratio: whether costs are logarithms.
      scaled: how times of other machine classes were scaled; empty where there were none.
    """

    response: str
    choices: tuple[Choice, ...]
    summary: FoldSummary
    non_nested_point: int
    non_nested_mean: float
    optimism: float
    same_point: float
    is_ratio: bool
    scaled: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; infinities as null."""
        return {
            "response": self.response,
            "choices": [
                {name: _plain(value) for name, value in dataclasses.asdict(choice).items()} for choice in self.choices
            ],
            "mean": self.summary.mean,
            "sd": self.summary.sd,
            "interval": list(self.summary.interval),
            "note": self.summary.note,
            "non_nested_point": self.non_nested_point,
            "non_nested_mean": self.non_nested_mean,
            "optimism": self.optimism,
            "same_point": self.same_point,
            "scaled": self.scaled or None,
        }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def choose_point(inner: Sequence[Sequence[Run]], response: Response, direction: str) -> int:
    """The point that the inner loop chooses.

    For times: smallest median time to target, a miss being later than any time; ties, and points that miss in the
    median, are broken by the number of hits, then by the metric, then by order. For the metric: its best mean.

    Args:
      inner: by point, its runs over the inner parts.
      response: what is minimised.
      direction: of the metric.

    Raises:
      ScoringError: there is no point, or a point without runs.
    """
    if not inner or not all(inner):
        raise ScoringError("nested cross-validation needs at least one inner run of every point")

    def quality(runs: Sequence[Run]) -> float:
        metric = [run.metric for run in runs if not math.isnan(run.metric)]
        mean = float(np.mean(metric)) if metric else (math.inf if direction == "minimize" else -math.inf)
        return mean if direction == "minimize" else -mean

    def merit(runs: Sequence[Run]) -> tuple[float, ...]:
        if not response.is_ratio:
            return (quality(runs),)
        return (_median_time(runs, response), -_hits(runs), quality(runs))

    return min(range(len(inner)), key=lambda i: merit(inner[i]))


def _time(run: Run, response: Response) -> float:
    return run.steps if response.name == "steps" else run.wall


def _median_time(runs: Sequence[Run], response: Response) -> float:
    return float(np.median([_time(run, response) for run in runs]))


def _hits(runs: Sequence[Run]) -> int:
    return sum(math.isfinite(run.wall) for run in runs)


def nested(
    inner: Mapping[str, Sequence[Sequence[Run]]],
    outer: Mapping[str, Sequence[Run]],
    response: Response,
    direction: str,
) -> NestedResult:
    """Nested scores of one submission on one workload.

    Args:
      inner: by outer fold, by point, its runs over the inner parts.
      outer: by outer fold, one run per point, trained on the whole outer training part.
      response: ``log-time``, ``steps`` or ``metric``.
      direction: of the metric.

    Raises:
      ScoringError: folds that differ between the loops, unequal numbers of points, fewer than two outer folds, or a run
        without a response.
    """
    if list(inner) != list(outer) or len(outer) < 2:
        raise ScoringError(f"nested cross-validation needs the same outer folds twice or more, found {list(outer)}")
    points = {len(runs) for runs in outer.values()} | {len(runs) for runs in inner.values()}
    if len(points) != 1:
        raise ScoringError(f"unequal numbers of points over folds: {sorted(points)}")
    costs = np.array([[response.cost(run, direction) for run in runs] for runs in outer.values()])
    if np.isnan(costs).any():
        raise ScoringError(f"an outer run has no {response.name}; see the records of the outer folds")
    chosen = [choose_point(runs, response, direction) for runs in inner.values()]
    choices = tuple(
        _choice(fold, point, inner[fold][point], outer[fold][point], response)
        for fold, point in zip(outer, chosen, strict=True)
    )
    nested_costs = costs[np.arange(len(chosen)), chosen]
    means = costs.mean(axis=0)
    best = int(np.argmin(means))
    return NestedResult(
        response.name,
        choices,
        fold_summary(nested_costs),
        best,
        float(means[best]),
        float(nested_costs.mean() - means[best]),
        max(chosen.count(point) for point in chosen) / len(chosen),
        response.is_ratio,
        how_scaled(run for runs in outer.values() for run in runs),
    )


def _choice(fold: str, point: int, inner: Sequence[Run], outer: Run, response: Response) -> Choice:
    timed = response.is_ratio
    median = _median_time(inner, response) if timed else float(np.median([run.metric for run in inner]))
    value = _time(outer, response) if timed else outer.metric
    return Choice(fold, point, median, _hits(inner), len(inner), value, outer.folder)
