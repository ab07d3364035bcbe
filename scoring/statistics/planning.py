"""Power and sample size, in closed form, for the tests of this package (two-sided)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from scoring.statistics.crossvalidation import replication_variances
from scoring.statistics.effects import cohens_h
from scoring.statistics.outcome import open_unit

ALPHA, POWER = 0.05, 0.80
_LARGEST = 1e12


def paired_t_power(dz: float, n: float, alpha: float = ALPHA) -> float:
    """Power of the paired t test with n pairs at the standardised difference ``dz``, from the non-central t.

    Raises:
      ValueError: n below 2, alpha outside (0, 1), dz not finite.
    """
    open_unit(alpha, "alpha")
    if not (n >= 2 and math.isfinite(dz)):
        raise ValueError(f"dz = {dz}, n = {n}: need a finite effect and at least 2 pairs")
    df, shift = n - 1, abs(dz) * math.sqrt(n)
    critical = stats.t.isf(alpha / 2, df)
    # the lower tail by its mirror image: scipy's cdf is NaN there for every sixth ordinary input
    return float(stats.nct.sf(critical, df, shift) + stats.nct.sf(critical, df, -shift))


def paired_t_sample_size(dz: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """Pairs (not rounded, at least 2) for the power asked; round up.

    Raises:
      ValueError: dz zero or not finite, or power or alpha outside (0, 1).
    """
    open_unit(power, "power")
    if dz == 0:
        raise ValueError("dz = 0: no number of pairs finds a difference that is not there")
    if paired_t_power(dz, 2, alpha) >= power:
        return 2.0
    rough = ((stats.norm.isf(alpha / 2) + stats.norm.ppf(power)) / dz) ** 2
    upper = max(4.0, 2 * rough + 20)
    return float(optimize.brentq(lambda n: paired_t_power(dz, n, alpha) - power, 2, upper, xtol=1e-10))


def two_proportion_sample_size(p1: float, p2: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """Examples per test set (not rounded) to tell two accuracies apart, by the arcsine approximation.

    Raises:
      ValueError: equal proportions, one outside of [0, 1], or power or alpha outside (0, 1).
    """
    open_unit(power, "power")
    open_unit(alpha, "alpha")
    h = abs(cohens_h(p1, p2))
    if h == 0:
        raise ValueError(f"p1 = p2 = {p1}: no number of examples finds a difference that is not there")
    z = float(stats.norm.isf(alpha / 2))

    def excess(n: float) -> float:
        shift = h * math.sqrt(n / 2)
        return float(stats.norm.sf(z - shift) + stats.norm.cdf(-z - shift)) - power

    if excess(0) >= 0:
        return 0.0
    return float(optimize.brentq(excess, 0, min(_LARGEST, 4 * ((z + 10) / h) ** 2), xtol=1e-9))


def five_by_two_cv_f_power(delta: float, sigma: float = 1.0, alpha: float = ALPHA) -> float:
    """Power of the combined 5x2cv F test at ten independent N(delta, sigma²) differences.

    Over two halves ``Σ d² = 2 d̄² + s²``, so that ``2 F - 1`` is a ratio of independent χ²(5), the upper one with
    non-centrality ``10 (delta / sigma)²``: a non-central F(5, 5). The test's level is therefore 1.8%, not 5%, where the
    differences are independent.

    Raises:
      ValueError: sigma not positive, delta not finite, or alpha outside (0, 1).
    """
    open_unit(alpha, "alpha")
    if not (math.isfinite(delta) and math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"delta = {delta}, sigma = {sigma}: need a finite difference and a positive SD")
    threshold = 2 * stats.f.isf(alpha, 10, 5) - 1
    shift = 10 * (delta / sigma) ** 2
    return float(stats.ncf.sf(threshold, 5, 5, shift) if shift else stats.f.sf(threshold, 5, 5))


def detectable_difference(differences: ArrayLike, power: float = POWER, alpha: float = ALPHA) -> float:
    """The difference, in the response's unit, that the 5x2cv F finds with this power given the variance seen.

    Print it beside every F that is not significant; on log time, ``exp`` of it is the detectable time ratio. It is
    about 2.5 SD for 80%.

    Args:
      differences: ``(5, 2)``.
      power, alpha: of the test.

    Returns:
      0 where the replications show no variance.

    Raises:
      ValueError: as the 5x2cv tests, or power or alpha outside (0, 1).
    """
    open_unit(power, "power")
    sigma = math.sqrt(float(np.mean(replication_variances(differences))))
    if five_by_two_cv_f_power(0.0, 1.0, alpha) >= power:
        return 0.0
    ratio = optimize.brentq(lambda r: five_by_two_cv_f_power(r, 1.0, alpha) - power, 0, 20, xtol=1e-9)
    return float(ratio) * sigma
