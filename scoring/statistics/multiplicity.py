"""Many tests at once: adjusted p-values of a family that is fixed beforehand, and one p-value for all of it.

Holm 1979; Hochberg 1988; Hommel 1988; Benjamini & Hochberg 1995; Benjamini & Yekutieli 2001. Holm's holds under any
dependence and dominates Bonferroni's, so it is the default.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from scoring.statistics.outcome import Outcome, finite


def _sidak(p: np.ndarray, tests: np.ndarray | int) -> np.ndarray:
    """``1 - (1 - p)^tests`` without loss of digits at small p."""
    with np.errstate(divide="ignore"):
        return -np.expm1(tests * np.log1p(-p))


def _hommel(p: np.ndarray) -> np.ndarray:
    """Closed testing with Simes' test. Of the sets of m with a given test, that with the largest others decides."""
    n = p.size
    adjusted = p.copy()
    for m in range(2, n + 1):
        others = np.min(m * p[n - m + 1 :] / np.arange(2, m + 1))
        simes = np.minimum(m * p, others)
        simes[n - m :] = simes[n - m]
        adjusted = np.maximum(adjusted, simes)
    return adjusted


def _remaining(p: np.ndarray) -> np.ndarray:
    return np.arange(p.size, 0, -1)


def _step_down(values: np.ndarray) -> np.ndarray:
    return np.maximum.accumulate(values)


def _step_up(values: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate(values[::-1])[::-1]


ADJUSTMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda p: p,
    "bonferroni": lambda p: p * p.size,
    "sidak": lambda p: _sidak(p, p.size),
    "holm": lambda p: _step_down(p * _remaining(p)),
    "holm-sidak": lambda p: _step_down(_sidak(p, _remaining(p))),
    "hochberg": lambda p: _step_up(p * _remaining(p)),
    "hommel": _hommel,
    "bh": lambda p: stats.false_discovery_control(p, method="bh"),
    "by": lambda p: stats.false_discovery_control(p, method="by"),
}
"""Adjustments of ascending p-values. All but "none", and "bh" and "by" (false discovery rate), bound the chance of any
false one."""


def _p_values(p: ArrayLike) -> np.ndarray:
    values = finite(p, "p-value", ("test",))
    if (values < 0).any() or (values > 1).any():
        bad = int(np.argmax((values < 0) | (values > 1)))
        raise ValueError(f"p-value of test {bad + 1} is {values[bad]}: must lie in [0, 1]")
    return values


def adjust(p: ArrayLike, method: str = "holm") -> np.ndarray:
    """Adjusted p-values ``(tests,)``, in the order given; compare them with the level of the whole family.

    Args:
      p: p-values of the family, ``(tests,)``; a degenerate test takes part with its p.
      method: a key of ``ADJUSTMENTS``.

    Raises:
      ValueError: unknown method, no p-values, or one that is outside of [0, 1] or NaN, named by test.
    """
    if method not in ADJUSTMENTS:
        raise ValueError(f"method = {method!r}: one of {', '.join(ADJUSTMENTS)}")
    values = _p_values(p)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(ADJUSTMENTS[method](values[order]), 1.0)
    return adjusted


def combine(p: ArrayLike, method: str = "stouffer") -> Outcome:
    """One p-value of independent tests of one direction, such as one per workload.

    Args:
      p: one-sided p-values, ``(tests,)``.
      method: "fisher" or "stouffer".

    Returns:
      The one-sided combined p. A p of exactly 0 or 1 makes Stouffer's z infinite, which is flagged.

    Raises:
      ValueError: unknown method, values outside of [0, 1], or both 0 and 1 with Stouffer's method.
    """
    if method not in ("fisher", "stouffer"):
        raise ValueError(f"method = {method!r}: fisher or stouffer")
    values = _p_values(p)
    name = f"{method.capitalize()}'s combination, one-sided"
    certain = bool(((values == 0) | (values == 1)).any()) if method == "stouffer" else bool((values == 0).any())
    if method == "stouffer" and (values == 0).any() and (values == 1).any():
        raise ValueError("p-values of exactly 0 and 1 contradict each other: Stouffer's z is undefined, use fisher")
    with np.errstate(divide="ignore"):
        found = stats.combine_pvalues(values, method=method)
    df: tuple[float, ...] = (2 * values.size,) if method == "fisher" else ()
    note = "a p-value is exactly 0 or 1 and decides alone" if certain else ""
    return Outcome(float(found.statistic), df, float(found.pvalue), name, certain, note)
