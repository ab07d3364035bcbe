"""Proportions on a test set: intervals, and the difference of two independent ones (Raschka 2018, arXiv 1811.12808)."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import stats

from scoring.statistics.outcome import Estimate, Outcome, open_unit


def _counts(correct: int, n: int, name: str = "") -> None:
    if n < 1 or not 0 <= correct <= n or int(correct) != correct or int(n) != n:
        raise ValueError(
            f"correct{name} = {correct} of n{name} = {n}: need whole numbers with 0 <= correct <= n, n >= 1"
        )


def proportion_standard_error(correct: int, n: int) -> float:
    """``√(p (1 - p) / n)``.

    Raises:
      ValueError: counts out of range.
    """
    _counts(correct, n)
    p = correct / n
    return math.sqrt(p * (1 - p) / n)


def _wald(x: int, n: int, alpha: float) -> tuple[float, float]:
    half = stats.norm.isf(alpha / 2) * proportion_standard_error(x, n)
    return x / n - half, x / n + half


def _wilson(x: int, n: int, alpha: float) -> tuple[float, float]:
    z = stats.norm.isf(alpha / 2)
    centre = (x + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(x * (n - x) / n + z**2 / 4)
    return centre - half, centre + half


def _clopper_pearson(x: int, n: int, alpha: float) -> tuple[float, float]:
    low = float(stats.beta.ppf(alpha / 2, x, n - x + 1)) if x > 0 else 0.0
    high = float(stats.beta.isf(alpha / 2, x + 1, n - x)) if x < n else 1.0
    return low, high


def _agresti_coull(x: int, n: int, alpha: float) -> tuple[float, float]:
    z = stats.norm.isf(alpha / 2)
    n_adjusted = n + z**2
    p = (x + z**2 / 2) / n_adjusted
    half = z * math.sqrt(p * (1 - p) / n_adjusted)
    return p - half, p + half


def _jeffreys(x: int, n: int, alpha: float) -> tuple[float, float]:
    law = stats.beta(x + 0.5, n - x + 0.5)
    return law.ppf(alpha / 2), law.isf(alpha / 2)


INTERVALS: dict[str, Callable[[int, int, float], tuple[float, float]]] = {
    "wald": _wald,
    "wilson": _wilson,
    "clopper-pearson": _clopper_pearson,
    "agresti-coull": _agresti_coull,
    "jeffreys": _jeffreys,
}


def proportion_interval(correct: int, n: int, alpha: float = 0.05, method: str = "wilson") -> Estimate:
    """Interval for the accuracy of one fixed model on ``n`` independent test examples, cut to [0, 1].

    Args:
      correct: examples that are right.
      n: examples.
      alpha: one minus the level.
      method: a key of ``INTERVALS``. The article's normal approximation is "wald"; it has no width at 0 and at 1, which
        is flagged.

    Raises:
      ValueError: counts out of range, or an unknown method.
    """
    _counts(correct, n)
    open_unit(alpha, "alpha")
    if method not in INTERVALS:
        raise ValueError(f"method = {method!r}: one of {', '.join(INTERVALS)}")
    low, high = INTERVALS[method](correct, n, alpha)
    flat = method == "wald" and correct in (0, n)
    note = "no width, because every answer is the same: use wilson or clopper-pearson" if flat else ""
    return Estimate(correct / n, max(0.0, float(low)), min(1.0, float(high)), f"{method} interval", flat, note)


def difference_of_proportions(correct1: int, n1: int, correct2: int, n2: int, pooled: bool = True) -> Outcome:
    """Two-sided z test of equal accuracy on two independent test sets.

    Args:
      correct1, n1, correct2, n2: right answers and examples of each model.
      pooled: variance from the pooled proportion (the article's derivation), otherwise from each.

    Raises:
      ValueError: counts out of range.
    """
    _counts(correct1, n1, "1")
    _counts(correct2, n2, "2")
    p1, p2 = correct1 / n1, correct2 / n2
    method = f"z test of two proportions, {'pooled' if pooled else 'unpooled'}"
    note = "assumes independent test sets; on one shared test set use McNemar"
    if correct1 * n2 == correct2 * n1:
        certain = correct1 in (0, n1)
        return Outcome(0.0, (), 1.0, method, certain, f"both proportions are {p1:g}; {note}" if certain else note)
    p = (correct1 + correct2) / (n1 + n2)
    variance = p * (1 - p) * (1 / n1 + 1 / n2) if pooled else p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2
    if variance == 0:
        return Outcome(
            math.copysign(math.inf, p1 - p2), (), 0.0, method, True, f"0 against 1 has no unpooled variance; {note}"
        )
    z = (p1 - p2) / math.sqrt(variance)
    return Outcome(z, (), float(2 * stats.norm.sf(abs(z))), method, note=note)
