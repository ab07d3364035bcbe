"""The bootstrap: replicates, intervals, out-of-bag, .632 and .632+ (Efron & Tibshirani 1993, 1997)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from scoring.statistics.outcome import Estimate, finite, open_unit

Statistic = Callable[..., np.ndarray]
INTERVALS = ("percentile", "basic", "bca")
_ENUMERABLE = 7
_IN_BAG = 0.632


def _without_nan(values: ArrayLike, name: str) -> np.ndarray:
    """Vector that may hold infinities (targets not reached) but no NaN."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size < 1:
        raise ValueError(f"{name} of shape {array.shape}: expected a vector with at least one entry")
    if np.isnan(array).any():
        raise ValueError(f"{name} at entry {int(np.argmax(np.isnan(array))) + 1} is nan")
    return array


def bootstrap_replicates(
    data: ArrayLike, statistic: Statistic, draws: int | None = 9_999, seed: int = 0, chunk: int = 2**21
) -> np.ndarray:
    """The statistic of resamples with replacement, ``(draws,)``.

    Args:
      data: ``(n,)``; infinities are allowed where the statistic (a median) can bear them.
      statistic: reduces the last axis, as ``np.median(values, axis=-1)`` does.
      draws: random resamples; None takes all ``n^n`` (n of 7 at most), which needs no random numbers.
      seed: of their generator.
      chunk: values drawn at once.

    Raises:
      ValueError: NaN in the data or in a replicate, or too many values to enumerate.
    """
    values = _without_nan(data, "data")
    n = values.size
    if draws is None and n > _ENUMERABLE:
        raise ValueError(f"{n}^{n} resamples are too many to enumerate (at most {_ENUMERABLE} values): give draws")
    if draws is None:
        found = np.asarray(
            statistic(values[np.array(list(itertools.product(range(n), repeat=n)))], axis=-1), dtype=float
        )
    else:
        rng, step = np.random.RandomState(seed), max(1, chunk // n)
        sizes = [min(step, draws - start) for start in range(0, draws, step)]
        parts = [statistic(values[rng.randint(0, n, size=(size, n))], axis=-1) for size in sizes]
        found = np.concatenate(parts).astype(float)
    if np.isnan(found).any():
        raise ValueError(
            "the statistic of a resample is nan: choose one that can bear infinite values, such as a median"
        )
    return found


def _quantile(ordered: np.ndarray, q: float) -> float:
    """Linear quantile of sorted values; between a finite and an infinite one it is infinite, never NaN."""
    position = q * (ordered.size - 1)
    below = math.floor(position)
    low, high, weight = ordered[below], ordered[min(below + 1, ordered.size - 1)], position - below
    return float(low if weight == 0 or low == high else low + (high - low) * weight if math.isfinite(low) else high)


def bca_correction(data: ArrayLike, statistic: Statistic, replicates: ArrayLike) -> tuple[float, float]:
    """Bias correction z0 (ties counted half) and the jackknife's acceleration of the BCa interval (Efron 1987).

    Args:
      data: ``(n,)``.
      statistic: reduces the last axis.
      replicates: of the statistic, ``(draws,)``.

    Raises:
      ValueError: NaN, or a statistic of the data that lies outside of all replicates.
    """
    values, drawn = _without_nan(data, "data"), _without_nan(replicates, "replicates")
    observed = float(statistic(values, axis=-1))
    if not drawn.min() <= observed <= drawn.max():
        raise ValueError(f"the statistic {observed} lies outside of all replicates: bca is undefined, use percentile")
    share = float(np.mean(drawn < observed) + np.mean(drawn == observed) / 2)
    left_out = np.array([float(statistic(np.delete(values, i), axis=-1)) for i in range(values.size)])
    distance = left_out.mean() - left_out
    spread = float((distance**2).sum())
    acceleration = float((distance**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    return float(stats.norm.ppf(share)), acceleration


def _bca_levels(values: np.ndarray, statistic: Statistic, replicates: np.ndarray, alpha: float) -> tuple[float, float]:
    """The levels at which BCa takes its percentiles."""
    z0, acceleration = bca_correction(values, statistic, replicates)
    z = z0 + stats.norm.ppf([alpha / 2, 1 - alpha / 2])
    low, high = stats.norm.cdf(z0 + z / (1 - acceleration * z))
    return float(low), float(high)


def bootstrap_interval(
    data: ArrayLike,
    statistic: Statistic,
    alpha: float = 0.05,
    method: str = "percentile",
    replicates: ArrayLike | None = None,
    draws: int | None = 9_999,
    seed: int = 0,
) -> Estimate:
    """Bootstrap interval of a statistic, with linear quantiles.

    Args:
      data: ``(n,)``.
      statistic: reduces the last axis.
      alpha: one minus the level.
      method: "percentile", "basic" or "bca".
      replicates: computed already; None draws them by :func:`bootstrap_replicates` with ``draws`` and ``seed``.
      draws, seed: see there.

    Returns:
      The statistic of the data with its limits; flagged, with both limits at the value, where all replicates are equal.

    Raises:
      ValueError: NaN, unknown method, fewer than two replicates, or infinite replicates but for percentile.
    """
    if method not in INTERVALS:
        raise ValueError(f"method = {method!r}: one of {', '.join(INTERVALS)}")
    open_unit(alpha, "alpha")
    values = _without_nan(data, "data")
    if replicates is None:
        replicates = bootstrap_replicates(values, statistic, draws, seed)
    ordered = np.sort(_without_nan(replicates, "replicates"))
    observed = float(statistic(values, axis=-1))
    if math.isnan(observed):
        raise ValueError("the statistic of the data is nan: choose one that can bear infinite values, such as a median")
    name = f"bootstrap, {method}"
    if ordered.size < 2:
        raise ValueError("one replicate: an interval needs at least two")
    if ordered[0] == ordered[-1]:
        return Estimate(observed, float(ordered[0]), float(ordered[0]), name, True, "all replicates are equal")
    if method != "percentile" and not (math.isfinite(ordered[0]) and math.isfinite(ordered[-1])):
        raise ValueError(f"replicates are infinite: the {method} interval is undefined, use percentile")
    levels = (alpha / 2, 1 - alpha / 2)
    if method == "bca":
        levels = _bca_levels(values, statistic, ordered, alpha)
    low, high = (_quantile(ordered, level) for level in levels)
    if method == "basic":
        low, high = 2 * observed - high, 2 * observed - low
    return Estimate(observed, low, high, name)


def out_of_bag_interval(accuracies: ArrayLike, n: int, alpha: float = 0.05) -> Estimate:
    """Mean of out-of-bag accuracies ± t(n-1) times their SD: the leave-one-out bootstrap of the article.

    Args:
      accuracies: ``(b,)``, one per bootstrap round, at least two.
      n: examples in the data.

    Raises:
      ValueError: fewer than two rounds or examples, or a value that is NaN or infinite, named by round.
    """
    values = finite(accuracies, "accuracy", ("round",), at_least=2)
    if n < 2:
        raise ValueError(f"n = {n}: needs at least two examples")
    mean, se = math.fsum(values) / values.size, float(values.std(ddof=1))
    half = float(stats.t.isf(open_unit(alpha, "alpha") / 2, n - 1)) * se
    flat = bool(np.ptp(values) == 0)
    note = "pessimistic: a resample holds 63.2% of the distinct examples"
    return Estimate(mean, mean - half, mean + half, "out-of-bag bootstrap", flat, note)


def no_information_rate(class_shares: ArrayLike, predicted_shares: ArrayLike) -> float:
    """Error rate if labels and predictions were independent: ``Σ p_k (1 - q_k)``.

    Args:
      class_shares: p_k, share of each class among the labels, ``(classes,)``, sum 1.
      predicted_shares: q_k, among the predictions.

    Raises:
      ValueError: different lengths, negative shares, or sums other than 1.
    """
    p, q = finite(class_shares, "class share", ("class",)), finite(predicted_shares, "predicted share", ("class",))
    if p.shape != q.shape:
        raise ValueError(f"{p.size} class shares and {q.size} predicted shares: must be as many")
    for name, shares in (("class", p), ("predicted", q)):
        if (shares < 0).any() or abs(math.fsum(shares) - 1) > 1e-9:
            raise ValueError(f"{name} shares {shares.tolist()}: must be at least 0 and sum to 1")
    return math.fsum(p * (1 - q))


@dataclasses.dataclass(frozen=True)
class Bootstrap632:
    """Errors by the .632 and .632+ rules, with the relative overfitting rate R and the out-of-bag error's weight."""

    error_632: float
    error_632_plus: float
    overfitting_rate: float
    weight: float
    degenerate: bool
    note: str


def bootstrap_632(resubstitution_error: float, oob_error: float) -> float:
    """``0.632 err_oob + 0.368 err_resub``; give the means over rounds.

    Raises:
      ValueError: an error that is negative, NaN or infinite.
    """
    for name, error in (("resubstitution_error", resubstitution_error), ("oob_error", oob_error)):
        if not (math.isfinite(error) and error >= 0):
            raise ValueError(f"{name} = {error}: must be at least 0 and finite")
    return _IN_BAG * oob_error + (1 - _IN_BAG) * resubstitution_error


def bootstrap_632_plus(resubstitution_error: float, oob_error: float, no_information_error: float) -> Bootstrap632:
    """Efron and Tibshirani's .632+ (1997, JASA 92): the out-of-bag error weighs more the more the model overfits.

    The out-of-bag error is capped at the no-information error γ and ``R = (err_oob - err_resub) / (γ - err_resub)``
    kept in [0, 1]; both are noted. ``w = 0.632 / (1 - 0.368 R)``.

    Raises:
      ValueError: an error that is negative, NaN or infinite.
    """
    plain = bootstrap_632(resubstitution_error, oob_error)
    if not (math.isfinite(no_information_error) and no_information_error >= 0):
        raise ValueError(f"no_information_error = {no_information_error}: must be at least 0 and finite")
    capped = min(oob_error, no_information_error)
    over, room = capped - resubstitution_error, no_information_error - resubstitution_error
    rate = over / room if over > 0 and room > 0 else 0.0
    weight = _IN_BAG / (1 - (1 - _IN_BAG) * rate)
    note = "out-of-bag error above the no-information rate: capped" if capped < oob_error else ""
    if room <= 0:
        note = "resubstitution error is not below the no-information rate: nothing was learnt, R set to 0"
        capped = oob_error
    plus = (1 - weight) * resubstitution_error + weight * capped
    return Bootstrap632(plain, plus, rate, weight, bool(note), note)
