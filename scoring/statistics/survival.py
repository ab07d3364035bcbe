"""Times to target with misses censored at the budget: log-rank, Kaplan-Meier, restricted mean time.

Mantel 1966; Kaplan & Meier 1958; Royston & Parmar 2013.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from scoring.statistics.outcome import Estimate, Outcome, finite, open_unit, undefined


def _times(time: ArrayLike, reached: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        t = finite(time, f"{name}time", ("run",))
    except ValueError as error:
        raise ValueError(f"{error}; give the budget as the time of a miss, with reached = 0") from None
    hit = np.asarray(reached)
    if hit.shape != t.shape:
        raise ValueError(f"{name}times of shape {t.shape} and reached of shape {hit.shape}: must agree")
    if (t < 0).any():
        raise ValueError(f"{name}time at run {int(np.argmin(t)) + 1} is negative")
    if not np.isin(hit, (0, 1)).all():
        raise ValueError(f"{name}reached must be 0 or 1")
    return t, hit.astype(bool)


def stratified_log_rank(time: ArrayLike, reached: ArrayLike, group: ArrayLike, stratum: ArrayLike) -> Outcome:
    """Log-rank test of equal hazards of two groups, summed over strata (workloads, taken as fixed).

    Args:
      time: seconds or steps to target, or the budget of a miss, ``(runs,)``.
      reached: 1 where the target was reached, 0 where the run is censored.
      group: two distinct labels.
      stratum: any labels; a stratum with one group adds nothing.

    Raises:
      ValueError: unequal lengths, not exactly two groups, or a time that is negative, NaN or infinite.
    """
    t, hit = _times(time, reached, "")
    groups, strata = np.asarray(group), np.asarray(stratum)
    if not groups.shape == strata.shape == t.shape:
        raise ValueError(f"{t.size} times, {groups.size} groups, {strata.size} strata: must be as many")
    labels = np.unique(groups)
    if labels.size != 2:
        raise ValueError(f"groups {labels.tolist()}: the log-rank test compares exactly two")
    first = groups == labels[0]
    excess = variance = 0.0
    for label in np.unique(strata):
        inside = strata == label
        for moment in np.unique(t[inside & hit]):
            at_risk, events = inside & (t >= moment), inside & hit & (t == moment)
            n, n1, d = int(at_risk.sum()), int((at_risk & first).sum()), int(events.sum())
            excess += int((events & first).sum()) - d * n1 / n
            if n > 1:
                variance += d * n1 * (n - n1) * (n - d) / (n * n * (n - 1))
    name = "log-rank" if np.unique(strata).size == 1 else "stratified log-rank"
    if variance == 0:
        return undefined(name, (1,), "no stratum has an event with both groups at risk: too censored to compare", 0.0)
    chi2 = excess**2 / variance
    note = "" if hit.all() else f"{int((~hit).sum())} of {hit.size} runs are censored"
    return Outcome(chi2, (1,), float(special.chdtrc(1, chi2)), name, note=note)


def log_rank(time1: ArrayLike, reached1: ArrayLike, time2: ArrayLike, reached2: ArrayLike) -> Outcome:
    """Log-rank test of two samples; see :func:`stratified_log_rank`.

    Raises:
      ValueError: unequal lengths of times and reached, or a time that is negative, NaN or infinite.
    """
    (t1, hit1), (t2, hit2) = _times(time1, reached1, "first "), _times(time2, reached2, "second ")
    group = np.repeat([0, 1], [t1.size, t2.size])
    return stratified_log_rank(np.append(t1, t2), np.append(hit1, hit2), group, np.zeros_like(group))


@dataclasses.dataclass(frozen=True)
class SurvivalCurve:
    """Kaplan-Meier estimate of the share of runs not yet at the target.

    Attributes:
      times: event times, ascending, ``(events,)``.
      survival: just after each of them.
      at_risk, events: runs still going at that time, and runs that reach the target then.
      last: largest time observed; the curve is unknown beyond it unless it has fallen to 0.
    """

    times: np.ndarray
    survival: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    last: float

    def at(self, moments: ArrayLike) -> np.ndarray:
        """The curve at the moments, any shape.

        Raises:
          ValueError: a moment after the last time, where the curve is unknown.
        """
        asked = np.asarray(moments, dtype=float)
        if asked.size and not asked.max() <= self.last and not (self.survival.size and self.survival[-1] == 0):
            raise ValueError(f"moment {asked.max()} is beyond the last, censored time {self.last}")
        return np.append(1.0, self.survival)[np.searchsorted(self.times, asked, side="right")]


def kaplan_meier(time: ArrayLike, reached: ArrayLike) -> SurvivalCurve:
    """Kaplan and Meier's curve; arguments as of :func:`stratified_log_rank`.

    Raises:
      ValueError: unequal lengths, or a time that is negative, NaN or infinite.
    """
    t, hit = _times(time, reached, "")
    moments, events = np.unique(t[hit], return_counts=True)
    at_risk = t.size - np.searchsorted(np.sort(t), moments, side="left")
    # whole numbers until the end, so that the curve of uncensored runs falls to exactly 0
    return SurvivalCurve(moments, np.cumprod((at_risk - events) / at_risk), at_risk, events, float(t.max()))


def restricted_mean_time(time: ArrayLike, reached: ArrayLike, restriction: float, alpha: float = 0.05) -> Estimate:
    """Mean of min(T, restriction), the area under the Kaplan-Meier curve, with Greenwood's standard error.

    Args:
      time, reached: as of :func:`stratified_log_rank`.
      restriction: in units of the times; at most the last time unless all runs have reached the target by then.
      alpha: one minus the level of the normal interval.

    Raises:
      ValueError: restriction not positive or beyond the last, censored time; or as :func:`kaplan_meier`.
    """
    mean, se = _restricted_mean(time, reached, restriction)
    half = float(stats.norm.isf(open_unit(alpha, "alpha") / 2)) * se
    note = "no variance: all runs are alike up to the restriction" if se == 0 else ""
    return Estimate(mean, mean - half, mean + half, "restricted mean time", se == 0, note)


def _restricted_mean(time: ArrayLike, reached: ArrayLike, restriction: float) -> tuple[float, float]:
    if not (math.isfinite(restriction) and restriction > 0):
        raise ValueError(f"restriction = {restriction}: must be positive and finite")
    curve = kaplan_meier(time, reached)
    curve.at(restriction)
    kept = curve.times < restriction
    edges = np.concatenate([[0.0], curve.times[kept], [restriction]])
    heights = np.append(1.0, curve.survival[kept])
    areas = np.diff(edges) * heights
    after = areas.sum() - np.cumsum(areas)[:-1]
    n, d = curve.at_risk[kept], curve.events[kept]
    terms = np.divide(after**2 * d, n * (n - d), out=np.zeros(d.size), where=n > d)
    return float(math.fsum(areas)), math.sqrt(float(terms.sum()))


def restricted_mean_difference(
    time1: ArrayLike, reached1: ArrayLike, time2: ArrayLike, reached2: ArrayLike, restriction: float
) -> Outcome:
    """z test of equal restricted mean times; the statistic is z of first minus second.

    Raises:
      ValueError: as :func:`restricted_mean_time`.
    """
    (mean1, se1), (mean2, se2) = (
        _restricted_mean(time1, reached1, restriction),
        _restricted_mean(time2, reached2, restriction),
    )
    name, se = "difference of restricted means", math.hypot(se1, se2)
    if se == 0 and mean1 == mean2:
        return undefined(name, (), "both samples are constant and equal up to the restriction", 0.0)
    if se == 0:
        return Outcome(math.copysign(math.inf, mean1 - mean2), (), 0.0, name, True, "neither sample has any variance")
    z = (mean1 - mean2) / se
    return Outcome(z, (), float(2 * stats.norm.sf(abs(z))), name, note="normal approximation: poor for a few runs")
