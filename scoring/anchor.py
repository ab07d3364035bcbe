"""Scores against one named reference submission, and penalised means: numbers that another entry never moves.

A miss of the reference, or in a speedup of anyone, counts as the budget plus one second, as in AlgoPerf's speedups.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from scoring.benchmark import Benchmark
from scoring.bootstrap import LEVEL, hierarchical_means, in_chunks, interval
from scoring.cells import Field
from scoring.profile import TAU_MAX, Layout, exact_credits, relative

PENALTIES = (2, 10)
AFTER_BUDGET = 1.0
Limits = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Measure:
    """A value with its 95% limits over studies, and over workloads and studies; None below three studies."""

    value: float
    studies: Limits | None
    hierarchical: Limits | None


@dataclasses.dataclass(frozen=True)
class AgainstReference:
    """One submission against the reference.

    Attributes:
      score: the exact profile score with the reference's times as normaliser, ratios below 1 count as 1.
      log_credit: mean credit, linear in the logarithm of the ratio: 1 at 4 times faster than the reference, 1/2 at its
        time, 0 at 4 times slower or a miss.
      speedup: geometric mean of time ratios to the reference, below 1 is faster.
      speedup_t_interval: 95% t interval of it over workloads on the log scale; None for fewer than two workloads.
      substituted: base workloads where the submission's or the reference's miss was replaced by the budget.
    """

    score: Measure
    log_credit: Measure
    speedup: Measure
    speedup_t_interval: Limits | None
    substituted: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Anchored:
    """All submissions against one reference; ``left_out`` names workloads with a miss and no budget to stand in."""

    reference: str
    left_out: tuple[str, ...]
    entries: Mapping[str, AgainstReference]


def stand_in(field: Field, benchmark: Benchmark, reference: str) -> np.ndarray:
    """What counts in place of a miss, per workload ``(W,)``: the budget plus one second on the wall clock.

    On other clocks, or without a budget, it is one beyond the last evaluation of the reference's longest trial; NaN
    without any.
    """
    values = []
    for workload in field.layout.workloads:
        budget = benchmark.goals[workload].budget_sec
        if field.clock != "wall" or budget is None:
            ends = [getattr(t, field.clock) for study in field.studies(reference, workload) for t in study.trials]
            budget = max((end for end in ends if not math.isnan(end)), default=math.nan)
        values.append(budget + AFTER_BUDGET)
    return np.array(values)


def anchored_ratios(times: np.ndarray, layout: Layout, reference: int, instead: np.ndarray) -> np.ndarray:
    """Ratios ``(..., S, B)`` of the times to the reference's; infinite without credit.

    A base workload counts only where all its held-out variants are reached within 4 times the reference's time there.
    """
    times = np.where(np.isnan(times), np.inf, times)
    anchor = times[..., reference : reference + 1, :]
    ratios = relative(times, np.where(np.isfinite(anchor), anchor, instead))
    n_base = len(layout.base)
    for i, base in enumerate(layout.base_of):
        ratios[..., base][~(ratios[..., n_base + i] <= TAU_MAX)] = np.inf
    return ratios[..., :n_base]


def log_credits(ratios: np.ndarray) -> np.ndarray:
    """``(ln 4 - ln ratio) / (2 ln 4)`` within [0, 1]; the integral of the profile over log τ from 1/4 to 4."""
    span = math.log(TAU_MAX)
    with np.errstate(divide="ignore"):
        return np.clip((span - np.log(ratios)) / (2 * span), 0.0, 1.0)


def log_speedups(times: np.ndarray, reference: int, instead: np.ndarray) -> np.ndarray:
    """Logarithms ``(..., S, B)`` of the time ratios to the reference on base workloads, misses replaced."""
    times = times[..., : len(instead)]
    times = np.where(np.isfinite(times), times, instead)
    return np.log(times) - np.log(times[..., reference : reference + 1, :])


def against(field: Field, benchmark: Benchmark, reference: str, draws: np.ndarray | None) -> Anchored:
    """Every submission against the reference.

    Args:
      draws: resampled times ``(draws, S, W)`` for the intervals, or None.
    """
    instead, times = stand_in(field, benchmark, reference), field.medians()
    unknown = {
        name
        for j, name in enumerate(field.layout.workloads)
        if math.isnan(instead[j]) and not np.isfinite(times[:, j]).all()
    }
    layout, keep = field.layout.only([name for name in field.layout.workloads if name not in unknown])
    instead, times = instead[keep], times[:, keep]
    draws = draws[:, :, keep] if draws is not None else None
    row, n_base = field.submissions.index(reference), len(layout.base)

    measures = {
        "score": lambda part: exact_credits(np.maximum(anchored_ratios(part, layout, row, instead), 1.0)),
        "log_credit": lambda part: log_credits(anchored_ratios(part, layout, row, instead)),
        "speedup": lambda part: log_speedups(part, row, instead[:n_base]),
    }
    values = {name: _measure(function, times, draws, layout.base) for name, function in measures.items()}
    logs = measures["speedup"](times)
    substituted = ~np.isfinite(times[:, :n_base])
    substituted |= substituted[row]
    entries = {
        submission: AgainstReference(
            values["score"][i],
            values["log_credit"][i],
            _exponential(values["speedup"][i]),
            _t_interval(logs[i]),
            tuple(layout.base[j] for j in np.flatnonzero(substituted[i])),
        )
        for i, submission in enumerate(field.submissions)
    }
    return Anchored(reference, tuple(sorted(set(field.layout.workloads) - set(layout.workloads))), entries)


def _measure(
    function: Callable[[np.ndarray], np.ndarray], times: np.ndarray, draws: np.ndarray | None, base: tuple[str, ...]
) -> list[Measure]:
    """The mean over workloads of a per-workload value, with its limits, for each submission."""
    value = function(times).mean(axis=-1)
    if draws is None:
        return [Measure(float(v), None, None) for v in value]
    drawn = in_chunks(function, draws)
    by_studies = interval(drawn.mean(axis=-1)).T.tolist()
    hierarchical = interval(hierarchical_means(drawn, base)).T.tolist()
    return [Measure(float(v), tuple(a), tuple(b)) for v, a, b in zip(value, by_studies, hierarchical, strict=True)]


def _exponential(measure: Measure) -> Measure:
    def limits(pair: Limits | None) -> Limits | None:
        return (math.exp(pair[0]), math.exp(pair[1])) if pair else None

    return Measure(math.exp(measure.value), limits(measure.studies), limits(measure.hierarchical))


def _t_interval(logs: np.ndarray) -> Limits | None:
    from scipy.special import stdtrit

    n = logs.size
    if n < 2:
        return None
    half = float(stdtrit(n - 1, 1 - (1 - LEVEL) / 2) * logs.std(ddof=1) / math.sqrt(n))
    return math.exp(logs.mean() - half), math.exp(logs.mean() + half)


def penalised_means(field: Field, benchmark: Benchmark) -> dict[str, dict[str, float | None]]:
    """Geometric mean over base workloads of the median time, a miss counting k times the budget (PAR-k), by submission.

    Only on the wall clock; None where a missed workload has no budget.
    """
    if field.clock != "wall":
        return {}
    base = field.layout.base
    budgets = np.array([benchmark.goals[name].budget_sec or math.nan for name in base])
    times = field.medians()[:, : len(base)]
    result: dict[str, dict[str, float | None]] = {}
    for submission, row in zip(field.submissions, times, strict=True):
        means = {k: float(np.exp(np.log(np.where(np.isfinite(row), row, k * budgets)).mean())) for k in PENALTIES}
        result[submission] = {f"PAR{k}": None if math.isnan(mean) else mean for k, mean in means.items()}
    return result
