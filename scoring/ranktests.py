"""Rank tests over workloads: Friedman, Iman-Davenport, Nemenyi (Demšar 2006, JMLR 7)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

ALPHA = 0.05


@dataclasses.dataclass(frozen=True)
class RankTest:
    """Friedman's test over workloads with Nemenyi's critical difference.

    Attributes:
      mean_ranks: by column, 1 is best, ties averaged.
      chi2, p: Friedman's statistic with its χ² p-value.
      f, f_df, f_p: Iman and Davenport's F form.
      critical_difference: mean ranks further apart differ at 5% (Nemenyi); all pairs are one family.
      nemenyi_p: p-value of each pair.
      degenerate: all rows are constant, so there is nothing to test.
    """

    mean_ranks: np.ndarray
    chi2: float
    p: float
    f: float
    f_df: tuple[int, int]
    f_p: float
    critical_difference: float
    nemenyi_p: np.ndarray
    degenerate: bool


def friedman(values: np.ndarray) -> RankTest:
    """Friedman's test of ``values`` ``(workloads, submissions)``, smaller is better, infinite values tie last.

    Raises:
      ValueError: NaN values, or fewer than two workloads or three submissions.
    """
    from scipy import special

    n, k = values.shape
    if n < 2 or k < 3 or np.isnan(values).any():
        raise ValueError(f"Friedman's test needs 2 workloads and 3 submissions without NaN, not shape {values.shape}")
    smaller = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    mean_ranks = (smaller + (equal + 1) / 2).mean(axis=0)
    ties = float((equal**2 - 1).sum())  # a group of t contributes t (t² - 1)
    correction = 1 - ties / (n * (k**3 - k))
    scale = math.sqrt(k * (k + 1) / (6 * n))
    critical = studentized_range_quantile(1 - ALPHA, k) / math.sqrt(2) * scale
    df = (k - 1, (k - 1) * (n - 1))
    if correction <= 0:
        return RankTest(mean_ranks, 0.0, 1.0, 0.0, df, 1.0, critical, np.ones((k, k)), True)
    chi2 = (12 * n / (k * (k + 1)) * float((mean_ranks**2).sum()) - 3 * n * (k + 1)) / correction
    room = n * (k - 1) - chi2
    f = math.inf if room <= 1e-12 else (n - 1) * chi2 / room
    z = np.abs(mean_ranks[:, None] - mean_ranks) / scale
    return RankTest(
        mean_ranks,
        chi2,
        float(special.chdtrc(k - 1, chi2)),
        f,
        df,
        float(special.fdtrc(*df, f)) if math.isfinite(f) else 0.0,
        critical,
        np.clip(1 - studentized_range_cdf(z * math.sqrt(2), k), 0.0, 1.0),
        False,
    )


def studentized_range_cdf(q: np.ndarray, k: int) -> np.ndarray:
    """P(range of k standard normals ≤ q): the studentized range with infinitely many degrees of freedom.

    ``k ∫ φ(z) [Φ(z) - Φ(z - q)]^(k-1) dz`` by the trapezoid rule, which is exact to rounding for such integrands.
    (scipy.stats has it too, but takes a second to import.)
    """
    from scipy.special import ndtr

    z = np.linspace(-9.0, 9.0, 721)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    inner = ndtr(z) - ndtr(z - np.asarray(q)[..., None])
    return k * np.trapezoid(density * inner ** (k - 1), z, axis=-1)


def studentized_range_quantile(p: float, k: int) -> float:
    """Inverse of :func:`studentized_range_cdf`, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if studentized_range_cdf(np.array(middle), k) < p else (low, middle)
    return (low + high) / 2
