"""Exact and random permutations of paired and unpaired samples, the signed-rank and the sign test.

Fisher 1935; Wilcoxon 1945; Pratt 1959. Random permutations count the observed one, so that no p-value is 0
(Phipson & Smyth 2010).
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from scoring.statistics.outcome import ROUNDING, Outcome, finite, scaled, undefined

DRAWS = 9_999
_EXACT_PAIRS = 20
_EXACT_PAIRS_MANY = 12
_EXACT_SPLITS = 200_000
_EXACT_RANKS = 100
_BYTE_SIGNS = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[None], axis=0)
"""Signs ``(8, 256)`` for each value of a byte."""

ZERO_RULES = ("wilcox", "pratt", "zsplit")


def _signed_sums(values: np.ndarray) -> np.ndarray:
    """Sums ``(2^(n-1),)`` over all choices of signs with the first positive; the others are their mirror image."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _random_signed_sums(values: np.ndarray, draws: int, rng: np.random.RandomState) -> np.ndarray:
    """Sums ``(draws,)`` with independent random signs, eight values per random byte by way of a table."""
    padded = np.zeros(-(-values.size // 8) * 8)
    padded[: values.size] = values
    total = np.zeros(draws)
    for table in padded.reshape(-1, 8) @ _BYTE_SIGNS:
        total += table.take(np.frombuffer(rng.bytes(draws), dtype=np.uint8))
    return total


def _share_as_extreme(sums: np.ndarray, observed: float, scale: float) -> np.ndarray:
    return np.abs(sums) >= abs(observed) - ROUNDING * scale


def paired_permutation(differences: ArrayLike, draws: int = DRAWS, seed: int = 0) -> Outcome:
    """Sign-flip test of mean difference zero; the statistic is the mean difference.

    All sign choices up to 20 differences that are not zero, and whenever all have the same magnitude (right and wrong
    answers); otherwise ``draws`` random ones from ``seed``.

    Args:
      differences: ``(n,)``, first minus second on the same unit.
      draws: of random permutations.
      seed: of their generator.

    Raises:
      ValueError: no differences, or a value that is NaN or infinite, named by its pair.
    """
    d, scale = scaled(finite(differences, "difference", ("pair",)))
    moved = d[d != 0]
    name = "paired permutation (sign flip)"
    if not moved.size:
        return undefined(name, (), "all differences are zero", 0.0)
    observed, size = math.fsum(moved), float(np.abs(moved).sum())
    mean = observed / d.size * scale
    if np.ptp(np.abs(moved)) <= ROUNDING:
        return Outcome(mean, (), float(stats.binomtest(int((moved > 0).sum()), moved.size).pvalue), f"{name}, exact")
    if moved.size <= _EXACT_PAIRS:
        p = float(_share_as_extreme(_signed_sums(moved), observed, size).mean())
        return Outcome(mean, (), p, f"{name}, exact")
    sums = _random_signed_sums(moved, draws, np.random.RandomState(seed))
    p = (1 + int(_share_as_extreme(sums, observed, size).sum())) / (1 + draws)
    return Outcome(mean, (), p, f"{name}, {draws} random")


def paired_permutation_many(differences: ArrayLike) -> np.ndarray:
    """Exact sign-flip p-values ``(problems,)`` of many small problems at once.

    Args:
      differences: ``(problems, n)`` with n of 2 to 12. A row of zeros has p = 1.

    Raises:
      ValueError: other shapes, or a value that is NaN or infinite, named by problem and pair.
    """
    d = finite(differences, "difference", ("problem", "pair"))
    n = d.shape[1]
    if not 2 <= n <= _EXACT_PAIRS_MANY:
        raise ValueError(f"{n} differences per problem: all sign choices are taken for 2 to {_EXACT_PAIRS_MANY}")
    signs = np.array([(1, *rest) for rest in itertools.product((1.0, -1.0), repeat=n - 1)])
    p = np.empty(len(d))
    chunk = max(1, 2**21 // len(signs))
    for start in range(0, len(d), chunk):
        part = d[start : start + chunk]
        limit = np.abs(part.sum(axis=1)) - ROUNDING * np.abs(part).sum(axis=1)
        p[start : start + chunk] = np.mean(np.abs(part @ signs.T) >= limit[:, None], axis=1)
    return p


@functools.lru_cache(maxsize=4)
def _splits(n: int, m: int) -> np.ndarray:
    """Indices ``(n over m, m)`` of the first sample in each split of n values."""
    return np.array(list(itertools.combinations(range(n), m)), dtype=np.intp)


def unpaired_permutation(x: ArrayLike, y: ArrayLike, draws: int = DRAWS, seed: int = 0) -> Outcome:
    """Permutation test of equal means of two independent samples; the statistic is mean(x) - mean(y).

    All splits up to 200,000 of them (5 against 5 has 252, so that p cannot go below 0.0079), otherwise ``draws`` random
    ones from ``seed``.

    Raises:
      ValueError: an empty sample, or a value that is NaN or infinite, named by sample and entry.
    """
    a, b = finite(x, "first sample", ("entry",)), finite(y, "second sample", ("entry",))
    pooled, _ = scaled(np.concatenate([a, b]))
    m, n = a.size, pooled.size
    name = "permutation of two samples"
    difference = math.fsum(a) / m - math.fsum(b) / b.size
    if np.ptp(pooled) <= ROUNDING:
        return undefined(name, (), "all values are equal", 0.0)
    mean = pooled.mean()
    centred = pooled - mean
    observed, size = math.fsum(centred[:m]), float(np.abs(centred).sum())
    splits = math.comb(n, m)
    if splits <= _EXACT_SPLITS:
        p = float(_share_as_extreme(centred[_splits(n, m)].sum(axis=1), observed, size).mean())
        return Outcome(difference, (), p, f"{name}, exact ({splits} splits)")
    rng = np.random.RandomState(seed)
    extreme = 0
    chunk = max(1, 2**21 // n)
    for start in range(0, draws, chunk):
        keys = rng.random_sample((min(chunk, draws - start), n))
        rows = np.argpartition(keys, m - 1, axis=1)[:, :m]
        extreme += int(_share_as_extreme(centred[rows].sum(axis=1), observed, size).sum())
    return Outcome(difference, (), (1 + extreme) / (1 + draws), f"{name}, {draws} random")


def signed_rank_floor(n: int) -> float:
    """Smallest two-sided p the signed-rank (and sign-flip) test can give with n pairs: ``2^(1-n)``.

    Raises:
      ValueError: n below 1.
    """
    if n < 1:
        raise ValueError(f"n = {n}: needs at least one pair")
    return 2.0 ** (1 - n)


def _exact_signed_rank_p(ranks: np.ndarray, positive: float) -> float:
    """Two-sided p of the rank sum of positive differences; ties allowed, by convolution over doubled ranks."""
    doubled = np.rint(2 * ranks).astype(int)
    law = np.ones(1)
    for rank in doubled:
        law = (np.pad(law, (0, rank)) + np.pad(law, (rank, 0))) / 2
    distance = np.abs(np.arange(law.size) - doubled.sum() / 2)
    return min(1.0, float(law[distance >= abs(round(2 * positive) - doubled.sum() / 2)].sum()))


def wilcoxon(differences: ArrayLike, zero_rule: str = "wilcox", exact: bool | None = None) -> Outcome:
    """Wilcoxon's signed-rank test; the statistic is the smaller rank sum.

    Args:
      differences: ``(n,)``. Magnitudes within rounding of each other share their rank.
      zero_rule: "wilcox" drops zeros, "pratt" ranks them and then drops them, "zsplit" gives half of their ranks to
        either side. The method names the rule, since p depends on it.
      exact: all sign choices (ties are handled); None: up to 100 non-zero differences. Otherwise the normal
        approximation with the tie correction, without continuity correction.

    Raises:
      ValueError: unknown rule, no differences, or a value that is NaN or infinite, named by its pair.
    """
    if zero_rule not in ZERO_RULES:
        raise ValueError(f"zero_rule = {zero_rule!r}: one of {', '.join(ZERO_RULES)}")
    d, _ = scaled(finite(differences, "difference", ("pair",)))
    d = np.round(d, 12)
    moved = d[d != 0]
    use_exact = moved.size <= _EXACT_RANKS if exact is None else exact
    name = f"Wilcoxon signed rank, zeros by {zero_rule}, {'exact' if use_exact else 'normal approximation'}"
    if not moved.size:
        return undefined(name, (), "all differences are zero", 0.0)
    ranked = moved if zero_rule == "wilcox" else d
    ranks = stats.rankdata(np.abs(ranked))
    positive, negative = float(ranks[ranked > 0].sum()), float(ranks[ranked < 0].sum())
    shared = float(ranks[ranked == 0].sum()) / 2 if zero_rule == "zsplit" else 0.0
    statistic = min(positive, negative) + shared
    if use_exact:
        return Outcome(statistic, (), _exact_signed_rank_p(ranks[ranked != 0], positive), name)
    found = stats.wilcoxon(d, zero_method=zero_rule, correction=False, method="approx")
    return Outcome(statistic, (), float(found.pvalue), name)


def sign_test(differences: ArrayLike) -> Outcome:
    """Exact two-sided sign test, zeros dropped; the statistic is the number of positive differences.

    Raises:
      ValueError: no differences, or a value that is NaN or infinite, named by its pair.
    """
    d = finite(differences, "difference", ("pair",))
    positive, n = int((d > 0).sum()), int((d != 0).sum())
    if n == 0:
        return undefined("sign test, exact", (), "all differences are zero", 0.0)
    return Outcome(float(positive), (), float(stats.binomtest(positive, n).pvalue), "sign test, exact")
