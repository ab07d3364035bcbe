"""How sure: resampling studies, and workloads with them.

(a) Studies: each cell's studies are drawn with replacement, independently of other cells ("if these workloads were run
again"). (b) Hierarchical: the base workloads, each with its variants, are drawn as well ("another set of such
workloads"). Everything downstream of the times is computed anew in each draw, for all submissions jointly. Limits are
percentiles; seeds come from a digest of each cell's data, so that the same data give the same numbers, and more entries
do not change another cell's draws.

Efron & Tibshirani 1993, chapter 13 (percentile intervals); Davison & Hinkley 1997, section 3.8 (hierarchical data).
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable

import numpy as np

from scoring.cells import Field
from scoring.profile import Layout, performance_ratios, profile

DRAWS = 20_000
LEVEL = 0.95
MIN_STUDIES = 3
_CHUNK = 2_000
_ROUNDING = 1e-12


def seed_of(*parts: object) -> int:
    """A 32-bit seed from a digest of the parts' text."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:4], "big")


def resampled_medians(times: np.ndarray, draws: int, rng: np.random.RandomState) -> np.ndarray:
    """Medians ``(draws,)`` of as many times drawn with replacement; infinite times sort last, as misses do.

    The median's law is known, so it is drawn directly, by inversion, instead of drawing and sorting n times: the lower
    median is at most the j-th smallest time when more than m of n draws are, a binomial probability.
    """
    from scipy.special import bdtrc, gammaln

    n = times.size
    ordered = np.sort(times)
    if n == 1 or ordered[0] == ordered[-1]:
        return np.full(draws, ordered[0])
    m = (n - 1) // 2
    rank = np.arange(n)
    at_most = np.append(bdtrc(m, n, rank[1:] / n), 1.0)
    lower = np.searchsorted(at_most, rng.random_sample(draws), side="right")
    if n % 2:
        return ordered[lower]
    # n is even: the upper median differs from the lower where exactly half of the draws are at most the lower one;
    # it is then the smallest of the other half, which are uniform on the times above
    half, above = m + 1, n - 1 - rank
    scale = math.exp(gammaln(n + 1) - 2 * gammaln(half + 1) - half * math.log(4))
    exactly_half = scale * ((4 * (rank + 1) * above / n**2) ** half - (4 * rank * above / n**2) ** half)
    p_lower = np.diff(at_most, prepend=0.0)
    p_differs = np.divide(exactly_half, p_lower, out=np.zeros(n), where=p_lower > 0)
    differs = rng.random_sample(draws) < p_differs[lower]
    smallest = 1 - rng.random_sample(draws) ** (1 / half)
    upper = lower + differs * (1 + np.floor(above[lower] * smallest).astype(int))
    return (ordered[lower] + ordered[upper]) / 2


def resampled_times(field: Field, draws: int) -> np.ndarray:
    """Median times ``(draws, S, W)`` with each cell's studies resampled; NaN without data."""
    medians = np.full((draws, len(field.submissions), len(field.layout.workloads)), np.nan)
    for i, submission in enumerate(field.submissions):
        for j, workload in enumerate(field.layout.workloads):
            times = field.times(submission, workload)
            if times.size:
                rng = np.random.RandomState(seed_of(submission, workload, times.tolist()))
                medians[:, i, j] = resampled_medians(times, draws, rng)
    return medians


def in_chunks(function: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> np.ndarray:
    """The function of slices along the first axis, joined: keeps temporaries small."""
    return np.concatenate([function(array[i : i + _CHUNK]) for i in range(0, len(array), _CHUNK)])


def resampled_ratios(times: np.ndarray, layout: Layout) -> np.ndarray:
    """Performance ratios ``(draws, S, B)`` of resampled times."""
    return in_chunks(lambda part: performance_ratios(part, layout), times)


def hierarchical_means(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Means over resampled base workloads, ``(draws, S)``.

    Args:
      values: one number per draw of the studies, submission and base workload, ``(draws, S, B)``.
      names: the base workloads, for the seed.

    A workload drawn twice counts twice with the same draw of its studies.
    """
    draws, _, n_base = values.shape
    rng = np.random.RandomState(seed_of("base workloads", *names))
    picks = rng.randint(0, n_base, size=(draws, n_base))
    counts = (picks[:, :, None] == np.arange(n_base)).sum(axis=1)
    return np.einsum("dsb,db->ds", values, counts / n_base)


def interval(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Percentile limits ``(2, ...)``."""
    tail = (1 - LEVEL) / 2
    return np.quantile(values, [tail, 1 - tail], axis=axis)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What the draws of the scores say, submissions in the field's order.

    Attributes:
      mean, sd: of each score, ``(S,)``.
      interval: 95% limits of each score, ``(2, S)``.
      rank_interval: 95% limits of each rank, ``(2, S)``; 1 is best.
      p_best: probability of being best, ties shared, ``(S,)``.
      win: probability ``(S, S)`` that the row's score is larger than the column's, ties counted half.
      difference: 95% limits ``(2, S, S)`` of the row's score minus the column's.
    """

    mean: np.ndarray
    sd: np.ndarray
    interval: np.ndarray
    rank_interval: np.ndarray
    p_best: np.ndarray
    win: np.ndarray
    difference: np.ndarray

    def resolved(self) -> np.ndarray:
        """Pairs ``(S, S)`` whose order is beyond the interval's level in one direction."""
        return np.maximum(self.win, self.win.T) >= 1 - (1 - LEVEL) / 2


def compare(scores: np.ndarray) -> Comparison:
    """Summarises draws of scores ``(draws, S)``, larger is better."""
    scores = np.round(scores / _ROUNDING) * _ROUNDING  # sums in another order are no difference
    n = scores.shape[1]
    win, difference, ranks = np.full((n, n), 0.5), np.zeros((2, n, n)), np.empty_like(scores)
    for i in range(n):
        own = scores[:, i : i + 1]
        larger, equal = scores > own, scores == own
        ranks[:, i] = 1 + larger.sum(axis=1) + (equal.sum(axis=1) - 1) / 2
        win[i] = 1 - larger.mean(axis=0) - equal.mean(axis=0) / 2
        for j in range(i):
            difference[:, i, j] = interval(scores[:, i] - scores[:, j])
            difference[:, j, i] = -difference[::-1, i, j]
    top = scores == scores.max(axis=1, keepdims=True)
    tail = (1 - LEVEL) / 2
    return Comparison(
        scores.mean(axis=0),
        scores.std(axis=0, ddof=1) if len(scores) > 1 else np.zeros(n),
        interval(scores),
        np.quantile(ranks, [tail, 1 - tail], axis=0, method="inverted_cdf"),
        (top / top.sum(axis=1, keepdims=True)).mean(axis=0),
        win,
        difference,
    )


BAND_DRAWS = 2_000


def profile_bands(field: Field, taus: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The performance profile and its 95% band over studies, each ``(S, len(taus))``.

    Below three studies both limits equal the profile.
    """
    rho = profile(performance_ratios(field.medians(), field.layout), taus)
    if field.n_studies < MIN_STUDIES:
        return rho, rho, rho
    ratios = resampled_ratios(resampled_times(field, BAND_DRAWS), field.layout)
    limits = [interval((ratios <= tau).mean(axis=-1)) for tau in taus]
    low, high = np.stack(limits, axis=-1)
    return rho, low, high
