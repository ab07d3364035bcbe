"""How large a difference is, beside whether it is there; rank agreement; aggregates over runs and workloads.

Cohen 1988; Vargha & Delaney 2000 (A12); Agarwal et al. 2021 (interquartile mean, optimality gap).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from scoring.statistics.outcome import ROUNDING, Estimate, Outcome, finite, open_unit, paired_differences, undefined
from scoring.statistics.proportions import INTERVALS


def _standardised(mean: float, sd: float, scale: float, method: str) -> Estimate:
    if sd > ROUNDING * scale:
        return Estimate(mean / sd, None, None, method)
    value = math.copysign(math.inf, mean) if mean else 0.0
    return Estimate(value, None, None, method, True, "no variance: the effect is a limit value")


def cohens_dz(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Mean over SD of paired differences.

    Raises:
      ValueError: unequal lengths, fewer than two pairs, or a value that is NaN or infinite.
    """
    d = paired_differences(first, second, axes=("pair",))
    if d.size < 2:
        raise ValueError("one pair: d_z needs at least two")
    scale = float(np.abs(d).max())
    return _standardised(float(d.mean()), float(d.std(ddof=1)), scale, "Cohen's d_z (paired)")


def cohens_d(x: ArrayLike, y: ArrayLike) -> Estimate:
    """Difference of means over the pooled SD of two independent samples.

    Raises:
      ValueError: fewer than two entries in a sample, or a value that is NaN or infinite.
    """
    a = finite(x, "first sample", at_least=2)
    b = finite(y, "second sample", at_least=2)
    squares = (a.size - 1) * float(a.var(ddof=1)) + (b.size - 1) * float(b.var(ddof=1))
    scale = float(max(np.abs(a).max(), np.abs(b).max()))
    sd = math.sqrt(squares / (a.size + b.size - 2))
    return _standardised(float(a.mean() - b.mean()), sd, scale, "Cohen's d (pooled SD)")


def cohens_h(p1: float, p2: float) -> float:
    """``2 asin √p1 - 2 asin √p2``.

    Raises:
      ValueError: a proportion outside of [0, 1].
    """
    for name, p in (("p1", p1), ("p2", p2)):
        if not 0 <= p <= 1:
            raise ValueError(f"{name} = {p}: must lie in [0, 1]")
    return 2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2))


def a12(x: ArrayLike, y: ArrayLike) -> float:
    """Probability that a value of x is larger than one of y, ties counted half; infinite times are allowed.

    Raises:
      ValueError: an empty sample or NaN.
    """
    a, b = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    if not (a.size and b.size) or np.isnan(a).any() or np.isnan(b).any():
        raise ValueError(f"samples of {a.size} and {b.size} values: neither may be empty or hold nan")
    ordered = np.sort(b)
    below, up_to = np.searchsorted(ordered, a, "left"), np.searchsorted(ordered, a, "right")
    return float((below + up_to).sum()) / (2 * a.size * b.size)


def cliffs_delta(x: ArrayLike, y: ArrayLike) -> float:
    """``P(x > y) - P(x < y) = 2 A12 - 1``.

    Raises:
      ValueError: an empty sample or NaN.
    """
    return 2 * a12(x, y) - 1


def discordance_odds(b: int, c: int, alpha: float = 0.05) -> Estimate:
    """Odds B/C of McNemar's table, with the exact (Clopper-Pearson) interval: the effect size beside McNemar.

    Raises:
      ValueError: a negative count.
    """
    name = "odds of disagreements"
    if b < 0 or c < 0:
        raise ValueError(f"b = {b}, c = {c}: must be at least 0")
    if b + c == 0:
        return Estimate(1.0, 0.0, math.inf, name, True, "the models never disagree: the odds are unknown")

    def odds(p: float) -> float:
        return p / (1 - p) if p < 1 else math.inf

    low, high = INTERVALS["clopper-pearson"](b, b + c, open_unit(alpha, "alpha"))
    one_sided = 0 in (b, c)
    note = "all disagreements go one way: the odds are a limit value" if one_sided else ""
    return Estimate(odds(b / (b + c)), odds(low), odds(high), name, one_sided, note)


def geometric_ratio(ratios: ArrayLike, alpha: float = 0.05) -> Estimate:
    """Geometric mean of time ratios (first over second) with the t interval on the log scale.

    Args:
      ratios: ``(n,)`` positive, one per workload or pair.
      alpha: one minus the level.

    Raises:
      ValueError: fewer than two ratios, or one that is not positive and finite, named by its pair.
    """
    values = finite(ratios, "ratio", ("pair",), at_least=2)
    if (values <= 0).any():
        raise ValueError(f"ratio at pair {int(np.argmin(values)) + 1} is {values.min()}: must be positive")
    logs = np.log(values)
    mean, se = math.fsum(logs) / logs.size, float(logs.std(ddof=1)) / math.sqrt(logs.size)
    half = float(stats.t.isf(open_unit(alpha, "alpha") / 2, logs.size - 1)) * se
    flat = bool(np.ptp(logs) == 0)
    note = "all ratios are equal: the interval has no width" if flat else ""
    return Estimate(math.exp(mean), math.exp(mean - half), math.exp(mean + half), "geometric mean ratio", flat, note)


def rank_agreement(x: ArrayLike, y: ArrayLike, method: str = "kendall") -> Outcome:
    """Kendall's tau-b or Spearman's rho of two score vectors, the statistic being the coefficient.

    Raises:
      ValueError: unknown method, unequal lengths, fewer than two entries, or a value that is NaN or infinite.
    """
    if method not in ("kendall", "spearman"):
        raise ValueError(f"method = {method!r}: kendall or spearman")
    a, b = finite(x, "first score", at_least=2), finite(y, "second score", at_least=2)
    if a.shape != b.shape:
        raise ValueError(f"{a.size} and {b.size} scores: must be as many")
    name = "Kendall's tau-b" if method == "kendall" else "Spearman's rho"
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return undefined(name, (), "one side is constant: there is no order to agree with", 0.0)
    if a.size == 2:
        return Outcome(float(np.sign((a[1] - a[0]) * (b[1] - b[0]))), (), 1.0, name, note="two entries prove nothing")
    found = stats.kendalltau(a, b) if method == "kendall" else stats.spearmanr(a, b)
    return Outcome(float(found.statistic), (), float(found.pvalue), name)


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all entries of ``scores`` ``(runs, tasks)``; a quarter is cut on either side.

    Raises:
      ValueError: no scores, or one that is NaN or infinite, named by run and task.
    """
    return float(stats.trim_mean(finite(scores, "score", ("run", "task")), 0.25, axis=None))


def optimality_gap(scores: ArrayLike, goal: float = 1.0) -> float:
    """Mean shortfall ``goal - min(score, goal)`` over all entries of ``scores`` ``(runs, tasks)``.

    Raises:
      ValueError: no scores, or one that is NaN or infinite, named by run and task.
    """
    return float(goal - np.minimum(finite(scores, "score", ("run", "task")), goal).mean())


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Mean over tasks of :func:`a12` between the runs of two algorithms, ``(runs, tasks)`` each.

    Raises:
      ValueError: different numbers of tasks, or a score that is NaN or infinite.
    """
    a, b = finite(x, "first score", ("run", "task")), finite(y, "second score", ("run", "task"))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} tasks: must be the same tasks")
    return math.fsum(a12(a[:, j], b[:, j]) for j in range(a.shape[1])) / a.shape[1]
