"""Fixed models on one shared test set: McNemar, Cochran's Q, Looney's F.

They see no variation from training data, seeds or tuning: they compare trained networks, not training algorithms.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from scoring.statistics.outcome import Outcome, undefined

MCNEMAR = ("exact", "mid-p", "corrected", "uncorrected")
FEW_DISCORDANT = 25


def _right_or_wrong(right: ArrayLike) -> np.ndarray:
    """Answers as an integer array ``(examples, models)`` of 0 and 1."""
    array = np.asarray(right)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise ValueError(f"answers of shape {array.shape}: expected (examples, models) with at least two models")
    bad = np.argwhere(~((array == 0) | (array == 1)))
    if bad.size:
        example, model = bad[0]
        raise ValueError(
            f"answer at example {example + 1}, model {model + 1} is {array[example, model]}: "
            "must be 1 (right) or 0 (wrong)"
        )
    return array.astype(np.int64)


def disagreement_table(right1: ArrayLike, right2: ArrayLike) -> np.ndarray:
    """The 2 x 2 table of two models' answers: rows first model right, wrong; columns second model right, wrong.

    Raises:
      ValueError: different numbers of examples, or an answer that is neither 0 nor 1.
    """
    first, second = np.asarray(right1), np.asarray(right2)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"answers of shapes {first.shape} and {second.shape}: both models need the same examples")
    both = _right_or_wrong(np.stack([first, second], axis=1))
    return np.bincount(3 - 2 * both[:, 0] - both[:, 1], minlength=4).reshape(2, 2)


def mcnemar_many(b: ArrayLike, c: ArrayLike, method: str = "exact") -> tuple[np.ndarray, np.ndarray]:
    """McNemar's test of many tables at once.

    Args:
      b: examples which only the first model has right, any shape.
      c: examples which only the second has right, same shape.
      method: "exact" (binomial), "mid-p", "corrected" (Edwards; the corrected distance is never below 0) or
        "uncorrected" χ².

    Returns:
      Statistics and p-values of that shape. The statistic is χ² for the χ² forms and min(b, c) for the others. Without
      disagreement (b = c = 0) χ² is 0 and p is 1.

    Raises:
      ValueError: different shapes, counts which are not whole numbers of at least 0, or an unknown method.
    """
    if method not in MCNEMAR:
        raise ValueError(f"method = {method!r}: one of {', '.join(MCNEMAR)}")
    given = np.asarray(b), np.asarray(c)
    if given[0].shape != given[1].shape:
        raise ValueError(f"b and c of shapes {given[0].shape} and {given[1].shape}: must agree")
    for name, values in zip("bc", given, strict=True):
        bad = np.argwhere(~((values >= 0) & (values == np.floor(values)) & np.isfinite(values)))
        if len(bad):
            raise ValueError(f"{name}{bad[0].tolist()} is {values[tuple(bad[0])]}: must be a whole number >= 0")
    x, y = (values.astype(float) for values in given)
    n, fewer = x + y, np.minimum(x, y)
    if method in ("exact", "mid-p"):
        p = 2 * stats.binom.cdf(fewer, n, 0.5)
        if method == "mid-p":
            p = p - stats.binom.pmf(fewer, n, 0.5)
        return fewer, np.clip(p, 0.0, 1.0)
    distance = np.maximum(np.abs(x - y) - (method == "corrected"), 0.0)
    chi2 = np.divide(distance**2, n, out=np.zeros_like(n), where=n > 0)
    return chi2, special.chdtrc(1, chi2)


def mcnemar(table: ArrayLike, method: str = "exact") -> Outcome:
    """McNemar's test of one 2 x 2 table, laid out as by :func:`disagreement_table`; see :func:`mcnemar_many`.

    Raises:
      ValueError: another shape, counts which are not whole numbers of at least 0, or an unknown method.
    """
    counts = np.asarray(table)
    if counts.shape != (2, 2):
        raise ValueError(
            f"table of shape {counts.shape}: expected 2 x 2 (first model right, wrong x second right, wrong)"
        )
    statistic, p = mcnemar_many(counts.ravel(), counts.T.ravel(), method)
    name = f"McNemar, {method}"
    chi2_form = method in ("corrected", "uncorrected")
    df: tuple[float, ...] = (1,) if chi2_form else ()
    discordant = int(counts[0, 1] + counts[1, 0])
    if discordant == 0:
        return undefined(name, df, "the models never disagree, which is no evidence for a difference", 0.0)
    few = chi2_form and discordant < FEW_DISCORDANT
    note = f"{discordant} disagreements are few for χ²: use exact or mid-p" if few else ""
    return Outcome(float(statistic[1]), df, float(p[1]), name, note=note)


def cochran_q(right: ArrayLike) -> Outcome:
    """Cochran's Q: do ``M`` models have the same accuracy on one test set? At M = 2 it is McNemar's uncorrected χ².

    Args:
      right: ``(examples, models)`` of 0 and 1.

    Raises:
      ValueError: fewer than two models, or an answer that is neither 0 nor 1.
    """
    array = _right_or_wrong(right)
    m = array.shape[1]
    per_model, per_example = array.sum(axis=0), array.sum(axis=1)
    total = int(per_model.sum())
    spread = m * int((per_model**2).sum()) - total**2
    disagreement = m * total - int((per_example**2).sum())
    method, df = "Cochran's Q", (m - 1,)
    if disagreement == 0:
        return undefined(method, df, "all models agree on every example", 0.0)
    q = (m - 1) * spread / disagreement
    return Outcome(q, df, float(special.chdtrc(m - 1, q)), method)


def looney_f(right: ArrayLike) -> Outcome:
    """Looney's F: the repeated-measures analysis of variance on right and wrong, with (M-1)(n-1) error degrees.

    Looney 1988, Pattern Recognition Letters 8. (The article and mlxtend print (M-1) n; the difference is immaterial
    from 100 examples on.)

    Args:
      right: ``(examples, models)`` of 0 and 1.

    Raises:
      ValueError: fewer than two models or examples, or an answer that is neither 0 nor 1.
    """
    array = _right_or_wrong(right)
    n, m = array.shape
    if n < 2:
        raise ValueError("one example: Looney's F needs at least two")
    per_model, per_example = array.sum(axis=0), array.sum(axis=1)
    total = int(per_model.sum())
    # all sums of squares times n M are whole numbers, so that zero is exactly zero
    models = m * int((per_model**2).sum()) - total**2
    examples = n * int((per_example**2).sum()) - total**2
    error = n * m * total - total**2 - models - examples
    method, df = "Looney's F", (m - 1, (m - 1) * (n - 1))
    if error == 0 and models == 0:
        return undefined(method, df, "all models agree on every example", 0.0)
    if error == 0:
        return Outcome(math.inf, df, 0.0, method, True, "the models differ by the same amount on every example")
    f = models * (n - 1) / error
    return Outcome(f, df, float(special.fdtrc(*df, f)), method)
