"""One configuration for all workloads at once: which point of a search space has the best score against a reference.

The setting of Kasimbeg et al. 2025 (arXiv 2505.24005). The score is the exact profile score with the reference's times
as normaliser (:mod:`scoring.anchor`), taken of median times over studies. The best of many noisy scores is too high;
the nested score (Varma & Simon 2006) chooses on all studies but one and scores the choice on the one left out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scoring.anchor import anchored_ratios, log_credits
from scoring.bootstrap import MIN_STUDIES
from scoring.errors import ScoringError
from scoring.profile import Layout, exact_credits, relative

DIGITS = 12
"""Scores that agree to so many digits are equal: the same credits summed in another order."""


@dataclasses.dataclass(frozen=True)
class Times:
    """Times to target on one clock, infinite for a miss; every cell has a value.

    Attributes:
      layout: ``W`` workloads, ``B`` of them base workloads.
      points: by point, workload and study ``(P, W, K)``.
      reference: the reference's ``(W, K)``.
      instead: what counts in place of a miss of the reference, by workload and study ``(W, K)``; NaN: nothing does.
    """

    layout: Layout
    points: np.ndarray
    reference: np.ndarray
    instead: np.ndarray

    def __post_init__(self) -> None:
        shape = self.points.shape[1:]
        if self.points.ndim != 3 or 0 in self.points.shape or shape[0] != len(self.layout.workloads):
            raise ScoringError(f"times of shape {self.points.shape} for {len(self.layout.workloads)} workloads")
        if self.reference.shape != shape or self.instead.shape != shape:
            raise ScoringError(f"the points have (workloads, studies) {shape}, the reference {self.reference.shape}")
        if np.isnan(self.points).any() or np.isnan(self.reference).any():
            raise ScoringError("a time is NaN; run what is missing")

    @property
    def n_studies(self) -> int:
        return self.points.shape[2]

    def of_studies(self, studies: Sequence[int]) -> Times:
        """The same from some studies only (indices)."""
        return Times(self.layout, self.points[..., studies], self.reference[:, studies], self.instead[:, studies])

    def without_workload(self, base: int) -> Times:
        """The same without a base workload and its variants."""
        layout, keep = self.layout.without(base)
        return Times(layout, self.points[:, keep], self.reference[keep], self.instead[keep])


@dataclasses.dataclass(frozen=True)
class PointScore:
    """One point against the reference.

    Attributes:
      score: mean credit over base workloads, 1 where it is never slower than the reference, 0 beyond 4 times its time.
      log_credit: the same linear in the logarithm of the ratio, with credit for being faster; parts equals.
      reached: share of its runs that met the target.
      ratios: by workload, its median time over the reference's (or over what stands in for that); infinite for a miss.
      substituted: workloads where something stood in for the reference's miss.
    """

    score: float
    log_credit: float
    reached: float
    ratios: Mapping[str, float]
    substituted: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LeftOutStudy:
    """``point`` (index) was chosen without the study (index) and has ``score`` on it; ``overall``: the score there of
    the point that all studies choose."""

    study: int
    point: int
    score: float
    overall: float


@dataclasses.dataclass(frozen=True)
class Nested:
    """The score of the procedure "search, then keep the best".

    Attributes:
      folds: one per study.
      score: their mean.
      interval: 95% t interval over studies within [0, 1]; None for fewer than three.
      optimism: mean over the same studies of the point that all of them chose, less ``score``: what choosing and
        scoring on the same runs adds. 0 where all folds choose that point; chance can make it negative.
      same_point: share of the folds that choose the point that all studies choose.
    """

    folds: tuple[LeftOutStudy, ...]
    score: float
    interval: tuple[float, float] | None
    optimism: float
    same_point: float


@dataclasses.dataclass(frozen=True)
class LeftOutWorkload:
    """``point`` (index) is chosen without the base workload and earns ``credit`` on it; ``overall``: what the point
    that all workloads choose earns there."""

    workload: str
    point: int
    credit: float
    overall: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The result of a search.

    Attributes:
      points: one per point, in order.
      chosen: index of the best; without meaning where no point reached any target.
      nested: None for a single study.
      workloads: the choice with each base workload left out; empty for a single one.
    """

    points: tuple[PointScore, ...]
    chosen: int
    nested: Nested | None
    workloads: tuple[LeftOutWorkload, ...]

    @property
    def reached_any(self) -> bool:
        return any(point.reached for point in self.points)

    @property
    def transfer(self) -> float | None:
        """Mean credit on workloads that the choice has not seen; None for a single workload."""
        return float(np.mean([each.credit for each in self.workloads])) if self.workloads else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, misses as null; points and studies count from 1."""
        nested = self.nested
        return {
            "points": [
                {"point": i, **dataclasses.asdict(p), "ratios": {name: _finite(r) for name, r in p.ratios.items()}}
                for i, p in enumerate(self.points, 1)
            ],
            "chosen": self.chosen + 1 if self.reached_any else None,
            "nested": nested
            and {**dataclasses.asdict(nested), "folds": [_from_one(f, "study", "point") for f in nested.folds]},
            "without_workload": [_from_one(each, "point") for each in self.workloads],
            "transfer": self.transfer,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _from_one(row: LeftOutStudy | LeftOutWorkload, *indices: str) -> dict[str, Any]:
    return {name: value + 1 if name in indices else value for name, value in dataclasses.asdict(row).items()}


def calibrate(times: Times) -> Calibration:
    """Scores all points, chooses one, and says how far the choice can be trusted."""
    chosen = choose(times)
    return Calibration(tuple(point_scores(times)), chosen, nested(times), tuple(_left_out_workloads(times, chosen)))


def credit_ratios(times: Times) -> np.ndarray:
    """Ratios ``(P, B)`` of the median times over studies to the reference's; infinite without credit."""
    rows = np.median(np.concatenate([times.points, times.reference[None]]), axis=-1)
    return anchored_ratios(rows, times.layout, len(times.points), times.instead.max(axis=-1))[:-1]


def scores(times: Times) -> np.ndarray:
    """Scores ``(P,)`` in [0, 1]."""
    return credits(times).mean(axis=-1)


def credits(times: Times) -> np.ndarray:
    """Credits ``(P, B)`` in [0, 1]; a point that is faster than the reference has 1."""
    return exact_credits(np.maximum(credit_ratios(times), 1.0))


def choose(times: Times) -> int:
    """Index of the point with the best score; among equals the better log credit, then more hits, then the first."""
    reached = np.isfinite(times.points).mean(axis=(1, 2))
    keys = (scores(times), log_credits(credit_ratios(times)).mean(axis=-1), reached)
    return max(range(len(reached)), key=lambda i: tuple(round(float(key[i]), DIGITS) for key in keys))


def nested(times: Times) -> Nested | None:
    """The nested score; None for a single study."""
    n = times.n_studies
    if n < 2:
        return None
    chosen, folds = choose(times), []
    for k in range(n):
        point = choose(times.of_studies([other for other in range(n) if other != k]))
        there = scores(times.of_studies([k]))
        folds.append(LeftOutStudy(k, point, float(there[point]), float(there[chosen])))
    found = [fold.score for fold in folds]
    mean = math.fsum(found) / n
    return Nested(
        tuple(folds),
        mean,
        _interval(found) if n >= MIN_STUDIES else None,
        math.fsum(fold.overall - fold.score for fold in folds) / n,
        sum(fold.point == chosen for fold in folds) / n,
    )


def _interval(found: Sequence[float]) -> tuple[float, float]:
    from scoring.statistics import fold_summary

    low, high = fold_summary(found).interval
    return max(low, 0.0), min(high, 1.0)


def point_scores(times: Times) -> list[PointScore]:
    """Every point's score and what it consists of."""
    anchor = np.median(times.reference, axis=-1)
    missed = ~np.isfinite(anchor)
    anchor = np.where(missed, times.instead.max(axis=-1), anchor)
    ratios = relative(np.median(times.points, axis=-1), anchor)
    names = times.layout.workloads
    log_credit = log_credits(credit_ratios(times)).mean(axis=-1)
    reached = np.isfinite(times.points).mean(axis=(1, 2))
    substituted = tuple(name for name, miss in zip(names, missed, strict=True) if miss)
    return [
        PointScore(float(s), float(c), float(r), dict(zip(names, row.tolist(), strict=True)), substituted)
        for s, c, r, row in zip(scores(times), log_credit, reached, ratios, strict=True)
    ]


def _left_out_workloads(times: Times, chosen: int) -> list[LeftOutWorkload]:
    if len(times.layout.base) < 2:
        return []
    earned = credits(times)
    found = []
    for b, name in enumerate(times.layout.base):
        point = choose(times.without_workload(b))
        found.append(LeftOutWorkload(name, point, float(earned[point, b]), float(earned[chosen, b])))
    return found
