"""From a p-value and an estimate to words, and to the runs that would settle an open question."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any

import numpy as np
from scipy import stats

from scoring.comparison.responses import Response
from scoring.statistics import Estimate, Outcome, paired_t_sample_size

CENSORED_NOTE, CENSORED_BEYOND_USE = 0.2, 0.5
"""Above the first share of misses a comparison of times is led by reached and missed; where both submissions miss more
than the second, times decide nothing."""
POWER = 0.8
MOST_RUNS = 10_000


class Verdict(enum.StrEnum):
    FASTER = "faster"
    SLOWER = "slower"
    BETTER = "better"
    WORSE = "worse"
    SAME = "no meaningful difference"
    OPEN = "not enough data"


@dataclasses.dataclass(frozen=True)
class Row:
    """One hypothesis: the first submission against the second, on one workload or over all of them.

    Attributes:
      workload: its name, or ``all workloads``.
      first, second: submissions; every number is first against second.
      verdict: of the first: {faster, slower} or {better, worse}, no meaningful difference, not enough data.
      effect: a ratio of times (below 1: the first is faster), or a difference in units of the response; 95% interval.
      statistic, df, p, method: of the test.
      p_adjusted: within the family.
      degenerate: the test had no information or no variance.
      n_first, n_second: units (folds, studies, workloads or test examples).
      censored_first, censored_second: share of runs that missed the target.
      runs_needed: more runs, both submissions together, that would probably settle it; None where it is settled or
        where no number of runs would.
      note: what the reader should know.
    """

    workload: str
    first: str
    second: str
    verdict: Verdict
    effect: Estimate
    outcome: Outcome
    p_adjusted: float
    n_first: int
    n_second: int
    censored_first: float
    censored_second: float
    runs_needed: int | None
    note: str
    differences: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; NaN and infinities as null and strings."""
        return {
            "workload": self.workload,
            "first": self.first,
            "second": self.second,
            "verdict": self.verdict.value,
            "effect": _plain(self.effect.value),
            "effect_interval": [_plain(self.effect.low), _plain(self.effect.high)],
            "effect_method": self.effect.method,
            "statistic": _plain(self.outcome.statistic),
            "df": list(self.outcome.df),
            "p": self.outcome.p,
            "p_adjusted": self.p_adjusted,
            "method": self.outcome.method,
            "degenerate": self.outcome.degenerate,
            "n": [self.n_first, self.n_second],
            "censored": [self.censored_first, self.censored_second],
            "runs_needed": self.runs_needed,
            "note": self.note,
            "differences": [_plain(d) for d in self.differences],
        }


def _plain(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def decide(
    response: Response,
    p_adjusted: float,
    alpha: float,
    estimate: Estimate,
    inside: Estimate,
    margin: float,
    beyond_use: bool,
) -> Verdict:
    """The verdict about the first submission.

    Args:
      response: what was compared.
      p_adjusted, alpha: p within its family, and the family's level.
      estimate: the difference of costs, first minus second.
      inside: the same with the interval of level 1 - 2 alpha, for equivalence by two one-sided tests (Schuirmann 1987).
      margin: half width of the region of no meaningful difference, in units of the cost.
      beyond_use: so many runs are censored that their times say nothing.
    """
    if beyond_use:
        return Verdict.OPEN
    if p_adjusted < alpha and estimate.value != 0:
        return Verdict(response.words[estimate.value > 0])
    if inside.low is not None and inside.high is not None and -margin <= inside.low and inside.high <= margin:
        return Verdict.SAME
    return Verdict.OPEN


def runs_needed(mean: float, sd: float, n: int, margin: float, alpha: float, pairs_cost: int = 2) -> int | None:
    """More runs, of both submissions together, that would settle a question with 80% probability.

    By a paired t test on independent replicates, at the mean and the spread seen: the smaller number of those that show
    the difference, and (where it lies within the margin) those that show that it does not matter.

    Args:
      mean, sd: of the differences of costs.
      n: replicates at hand.
      margin: half width of the region of no meaningful difference.
      alpha: level, divided by the size of the family.
      pairs_cost: runs per replicate.

    Returns:
      None where more than 10,000 replicates would be needed, or the spread is unknown.
    """
    if not (math.isfinite(mean) and math.isfinite(sd)) or sd <= 0:
        return None
    wanted = []
    if mean != 0 and abs(mean) / sd > 1e-3:
        wanted.append(paired_t_sample_size(abs(mean) / sd, POWER, alpha))
    if abs(mean) < margin:
        z = float(stats.norm.isf(alpha) + stats.norm.ppf((1 + POWER) / 2))
        wanted.append((z * sd / (margin - abs(mean))) ** 2)
    wanted = [value for value in wanted if value <= MOST_RUNS]
    if not wanted:
        return None
    return pairs_cost * max(1, math.ceil(min(wanted)) - n)


def spread(values: np.ndarray) -> float:
    """Sample standard deviation, NaN below two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
