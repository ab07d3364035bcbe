"""Training algorithms on the same splits: 5x2cv, paired t with and without correction, summaries of folds.

Dietterich 1998 (Neural Computation 10), Alpaydin 1999 (Neural Computation 11), Nadeau & Bengio 2003 (Machine Learning
52), Bouckaert & Frank 2004. A difference is first minus second on the identical split.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from scoring.statistics.outcome import ROUNDING, Estimate, Outcome, finite, open_unit, scaled, undefined

_NO_VARIANCE = "the differences have no variance: are the runs independent?"
_NO_DIFFERENCE = "all differences are zero: identical results, or every run censored"


def _five_by_two(differences: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Differences (5, 2) over their largest magnitude, and the variances (5,) of the replications."""
    if np.shape(differences) != (5, 2):
        raise ValueError(f"differences of shape {np.shape(differences)}: 5x2cv needs 5 replications x 2 halves")
    d, _ = scaled(finite(differences, "difference", ("replication", "half")))
    gap = d[:, 0] - d[:, 1]
    gap[np.abs(gap) <= ROUNDING] = 0.0
    return d, gap**2 / 2


def five_by_two_cv_t(differences: ArrayLike) -> Outcome:
    """Dietterich's 5x2cv paired t test. Its numerator is the first difference alone, so the order matters.

    Args:
      differences: ``(5 replications, 2 halves)``.

    Raises:
      ValueError: another shape, or a value that is NaN or infinite, named by replication and half.
    """
    d, variances = _five_by_two(differences)
    method, df = "5x2cv paired t", (5,)
    note = "depends on which difference comes first; the combined F does not"
    if not d.any():
        return undefined(method, df, _NO_DIFFERENCE)
    first, spread = float(d[0, 0]), math.sqrt(variances.mean())
    if spread == 0 and first == 0:
        return undefined(method, df, f"{_NO_VARIANCE} The first difference is zero, so that t is undefined.")
    if spread == 0:
        return Outcome(math.copysign(math.inf, first), df, 0.0, method, True, _NO_VARIANCE)
    t = first / spread
    return Outcome(t, df, float(2 * stats.t.sf(abs(t), 5)), method, note=note)


def five_by_two_cv_f(differences: ArrayLike) -> Outcome:
    """Alpaydin's combined 5x2cv F test: ``Σ d² / (2 Σ s²)`` against F(10, 5), whatever the order of the differences.

    Args:
      differences: ``(5 replications, 2 halves)``.

    Raises:
      ValueError: another shape, or a value that is NaN or infinite, named by replication and half.
    """
    d, variances = _five_by_two(differences)
    method, df = "5x2cv combined F", (10, 5)
    if not d.any():
        return undefined(method, df, _NO_DIFFERENCE)
    spread = math.fsum(variances)
    if spread == 0:
        return Outcome(math.inf, df, 0.0, method, True, _NO_VARIANCE)
    f = math.fsum((d**2).ravel()) / (2 * spread)
    return Outcome(f, df, float(stats.f.sf(f, *df)), method)


def replication_variances(differences: ArrayLike) -> np.ndarray:
    """``s_i²`` of the five replications, in squared units of the response, ``(5,)``.

    Raises:
      ValueError: as the 5x2cv tests.
    """
    _, scale = scaled(finite(differences, "difference", ("replication", "half")))
    return _five_by_two(differences)[1] * scale**2


def _t_of_mean(differences: ArrayLike, variance_factor: float | None, method: str, note: str) -> Outcome:
    """t of a mean whose variance is the sample variance times the factor (1/J where None)."""
    d, _ = scaled(finite(differences, "difference", ("fold",), at_least=2))
    df = (d.size - 1,)
    if not d.any():
        return undefined(method, df, f"{_NO_DIFFERENCE}. {note}".rstrip(" ."))
    mean = math.fsum(d) / d.size
    if np.ptp(d) <= ROUNDING:
        return Outcome(math.copysign(math.inf, mean), df, 0.0, method, True, f"{_NO_VARIANCE} {note}".rstrip())
    factor = 1 / d.size if variance_factor is None else variance_factor
    t = mean / math.sqrt(float(np.var(d, ddof=1)) * factor)
    return Outcome(t, df, float(2 * stats.t.sf(abs(t), df[0])), method, note=note)


def k_fold_paired_t(differences: ArrayLike) -> Outcome:
    """Paired t test over the folds of one cross-validation. Not recommended; the note in the result says why.

    Args:
      differences: ``(k,)``, at least two folds.

    Raises:
      ValueError: fewer than two folds, or a value that is NaN or infinite, named by fold.
    """
    note = "the folds' training sets overlap, so that the p-value is too small: use the corrected t or the 5x2cv F"
    return _t_of_mean(differences, None, "k-fold paired t", note)


def resampled_paired_t(differences: ArrayLike) -> Outcome:
    """Paired t test over random splits. Not recommended; the note in the result says why.

    Args:
      differences: ``(rounds,)``, at least two.

    Raises:
      ValueError: fewer than two rounds, or a value that is NaN or infinite, named by round ("fold").
    """
    note = (
        "training and test sets overlap between rounds: false positives of 27 to 43% at a nominal 5% were measured; "
        "use the corrected t or the 5x2cv F"
    )
    return _t_of_mean(differences, None, "resampled paired t", note)


def corrected_t(differences: ArrayLike, test_train_ratio: float) -> Outcome:
    """Nadeau and Bengio's corrected t for resampled, k-fold and repeated k-fold differences.

    The variance of the mean is ``s² (1/J + n_test / n_train)``: 1/(k-1) for k folds, repeated or not.

    Args:
      differences: ``(J,)``, all rounds, folds and repeats in one vector.
      test_train_ratio: examples tested over examples trained on, the same in every round.

    Raises:
      ValueError: fewer than two differences, one that is NaN or infinite, or a ratio that is not positive and finite.
    """
    if not (math.isfinite(test_train_ratio) and test_train_ratio > 0):
        raise ValueError(
            f"test_train_ratio = {test_train_ratio}: must be positive and finite, such as 1/9 for 10 folds"
        )
    factor = 1 / max(np.size(differences), 1) + test_train_ratio
    note = "conservative for a single k-fold cross-validation"
    return _t_of_mean(differences, factor, "corrected t (Nadeau-Bengio)", note)


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Probabilities that the mean difference is below, within and above the region of practical equivalence."""

    below: float
    within: float
    above: float
    degenerate: bool = False


def correlated_t(differences: ArrayLike, rope: float, rho: float) -> Posterior:
    """Bayesian correlated t (Corani & Benavoli 2015): the posterior of the mean difference over folds.

    Args:
      differences: ``(J,)``.
      rope: half width of the region of practical equivalence, in units of the response.
      rho: correlation of two folds' differences: ``n_test / n``, 1/k for k folds.

    Returns:
      A point mass (flagged) where the differences have no variance.

    Raises:
      ValueError: fewer than two differences, a value that is NaN or infinite, a negative rope, rho outside (0, 1).
    """
    d = finite(differences, "difference", ("fold",), at_least=2)
    open_unit(rho, "rho")
    if not (math.isfinite(rope) and rope >= 0):
        raise ValueError(f"rope = {rope}: must be at least 0 and finite")
    mean = math.fsum(d) / d.size
    if np.ptp(d) <= ROUNDING * np.abs(d).max():
        return Posterior(float(mean < -rope), float(abs(mean) <= rope), float(mean > rope), True)
    scale = math.sqrt(float(np.var(d, ddof=1)) * (1 / d.size + rho / (1 - rho)))
    law = stats.t(d.size - 1, loc=mean, scale=scale)
    below, above = float(law.cdf(-rope)), float(law.sf(rope))
    return Posterior(below, max(0.0, 1 - below - above), above)


@dataclasses.dataclass(frozen=True)
class FoldSummary:
    """Scores over folds: mean, SD (n-1), standard error ``SD/√k`` and t interval; too narrow, as ``note`` says.

    ``per_repeat`` holds the mean of each repetition.
    """

    mean: float
    sd: float
    se: float
    interval: tuple[float, float]
    per_repeat: tuple[float, ...]
    degenerate: bool
    note: str


def fold_summary(scores: ArrayLike, alpha: float = 0.05) -> FoldSummary:
    """Summary of a k-fold ``(k,)`` or repeated k-fold ``(repeats, k)`` cross-validation.

    Raises:
      ValueError: fewer than two scores, or a value that is NaN or infinite, named by repeat and fold.
    """
    open_unit(alpha, "alpha")
    axes = ("repeat", "fold") if np.ndim(scores) == 2 else ("fold",)
    values = finite(scores, "score", axes)
    k = values.size
    if k < 2:
        raise ValueError("one score: a summary over folds needs at least two")
    mean, sd = math.fsum(values.ravel()) / k, float(values.std(ddof=1))
    se = sd / math.sqrt(k)
    half = float(stats.t.isf(alpha / 2, k - 1)) * se
    flat = bool(np.ptp(values) == 0)
    note = "folds share training data: the standard error and the interval are too small"
    per_repeat = tuple(map(float, np.atleast_2d(values).mean(axis=1)))
    return FoldSummary(mean, sd, se, (mean - half, mean + half), per_repeat, flat, note)


def one_standard_error_rule(
    means: Sequence[float], standard_errors: Sequence[float], complexity: Sequence[float], larger_is_better: bool = True
) -> tuple[int, float]:
    """The simplest candidate which is within one standard error of the best (Breiman et al. 1984).

    Args:
      means, standard_errors, complexity: one entry per candidate; smaller complexity is simpler.
      larger_is_better: direction of the means.

    Returns:
      Index of the chosen candidate (the better mean among equally simple ones, then the first), and the threshold. Of
      several best candidates the first gives the standard error.

    Raises:
      ValueError: unequal lengths, a negative standard error, or a value that is NaN or infinite.
    """
    mean, se = finite(means, "mean", ("candidate",)), finite(standard_errors, "standard error", ("candidate",))
    cost = finite(complexity, "complexity", ("candidate",))
    if not mean.shape == se.shape == cost.shape:
        raise ValueError(f"{mean.size} means, {se.size} standard errors, {cost.size} complexities: must be as many")
    if (se < 0).any():
        raise ValueError(f"standard error of candidate {int(np.argmin(se)) + 1} is negative")
    sign = 1 if larger_is_better else -1
    merit = sign * mean
    best = int(np.argmax(merit))
    threshold = merit[best] - se[best]
    eligible = np.flatnonzero(merit >= threshold - ROUNDING * max(1.0, abs(float(threshold))))
    chosen = min(eligible, key=lambda i: (cost[i], -merit[i]))
    return int(chosen), float(sign * threshold)


def mean_difference(differences: ArrayLike, test_train_ratio: float, alpha: float = 0.05) -> Estimate:
    """Mean difference with the corrected t interval, the estimate beside :func:`corrected_t`.

    Raises:
      ValueError: as :func:`corrected_t`.
    """
    d = finite(differences, "difference", ("fold",), at_least=2)
    outcome = corrected_t(d, test_train_ratio)
    mean = math.fsum(d) / d.size
    se = math.sqrt(float(np.var(d, ddof=1)) * (1 / d.size + test_train_ratio))
    half = float(stats.t.isf(open_unit(alpha, "alpha") / 2, d.size - 1)) * se
    return Estimate(mean, mean - half, mean + half, outcome.method, outcome.degenerate, outcome.note)
