"""From trials to times: the best trial of each study, the reason for every miss, and the median over studies."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from results.evaluations import Goal, Hit
from results.irregularities import Irregularities
from results.reader import Table, Trial
from results.record import CLOCKS
from scoring.benchmark import Benchmark
from scoring.errors import ScoringError
from scoring.profile import Layout

RULES = ("exact", "official")


@dataclasses.dataclass(frozen=True, slots=True)
class StudyTime:
    """The outcome of one study of a submission on a workload.

    Attributes:
      study: its number.
      time: on the chosen clock; infinite for a miss.
      chosen: the trial that gave the time, or None.
      reason: why the target was missed; empty when it was not.
      trials: all trials of the study.
    """

    study: int
    time: float
    chosen: Trial | None
    reason: str
    trials: tuple[Trial, ...]

    @property
    def reached(self) -> bool:
        return math.isfinite(self.time)


@dataclasses.dataclass(frozen=True)
class Field:
    """All submissions' times: what every score is computed from.

    Attributes:
      submissions: sorted names.
      layout: the workloads.
      clock: ``wall``, ``cpu`` or ``steps``.
      cells: studies by (submission, workload); absent where there is no data.
    """

    submissions: tuple[str, ...]
    layout: Layout
    clock: str
    cells: Mapping[tuple[str, str], tuple[StudyTime, ...]]

    def studies(self, submission: str, workload: str) -> tuple[StudyTime, ...]:
        return self.cells.get((submission, workload), ())

    def times(self, submission: str, workload: str) -> np.ndarray:
        """Times of a cell's studies, infinite for misses; empty without data."""
        return np.array([study.time for study in self.studies(submission, workload)])

    def medians(self) -> np.ndarray:
        """Median times ``(S, W)`` over studies; NaN without data. Read-only."""
        return self._medians

    @functools.cached_property
    def _medians(self) -> np.ndarray:
        medians = np.array(
            [
                [median(self.times(submission, workload)) for workload in self.layout.workloads]
                for submission in self.submissions
            ]
        )
        medians.setflags(write=False)
        return medians

    @property
    def n_studies(self) -> int:
        """The most common number of studies of a cell with data."""
        counts = collections.Counter(len(studies) for studies in self.cells.values())
        return max(counts, key=lambda n: (counts[n], n))


def median(times: np.ndarray) -> float:
    """The median, where the mean of a number and infinity is infinite; NaN for none."""
    return float(np.median(times)) if times.size else math.nan


def build_field(table: Table, benchmark: Benchmark, *, clock: str = "wall", rules: str = "exact") -> Field:
    """Picks each study's trial and notes what is missing against the benchmark.

    Rules ``exact``: the earliest time among the trials, and only within the budget of submission time. ``official``:
    the trial whose first hit has the smallest evaluation index, and no look at the budget.

    A workload that no submission has run is left out.

    Raises:
      ScoringError: unknown clock or rules, or a clock that the data lack.
    """
    if clock not in CLOCKS:
        raise ScoringError(f"no clock {clock!r}; there is: {', '.join(CLOCKS)}")
    if rules not in RULES:
        raise ScoringError(f"no rules {rules!r}; there is: {', '.join(RULES)}")
    by_study: dict[tuple[str, str], dict[int, list[Trial]]] = {}
    for trial in table.trials:
        by_study.setdefault((trial.submission, trial.workload), {}).setdefault(trial.study, []).append(trial)
    cells = {
        cell: tuple(
            _study_time(study, trials, table.goals[cell[1]], clock, rules, table.irregularities)
            for study, trials in sorted(studies.items())
        )
        for cell, studies in sorted(by_study.items())
    }
    submissions = tuple(sorted({submission for submission, _ in cells}))
    layout, _ = benchmark.layout.only({workload for _, workload in cells})
    _note_missing(cells, submissions, layout, benchmark, table.irregularities)
    return Field(submissions, layout, clock, cells)


def _study_time(
    study: int, trials: Sequence[Trial], goal: Goal, clock: str, rules: str, odd: Irregularities
) -> StudyTime:
    candidates = []
    for trial in trials:
        if trial.hit is None:
            continue
        if math.isnan(trial.hit.on(clock)):
            raise ScoringError(
                f"{trial.folder} does not record the {clock} clock; score these results on another clock (--clock wall)"
            )
        if rules == "official" or within(trial.hit.wall, goal.budget_sec):
            candidates.append((trial.hit, trial))
        else:
            odd.add(
                "over_budget",
                f"target reached after the budget of {goal.budget_sec:g} s of submission time; a miss",
                submission=trial.submission,
                workload=trial.workload,
                where=trial.folder,
            )
    if candidates:
        hit, chosen = _first_by_index(candidates) if rules == "official" else _earliest(candidates, clock)
        return StudyTime(study, hit.on(clock), chosen, "", tuple(trials))
    return StudyTime(study, math.inf, None, _reasons(trials, goal), tuple(trials))


def _earliest(candidates: Sequence[tuple[Hit, Trial]], clock: str) -> tuple[Hit, Trial]:
    return min(candidates, key=lambda candidate: (candidate[0].on(clock), candidate[1].trial))


def _first_by_index(candidates: Sequence[tuple[Hit, Trial]]) -> tuple[Hit, Trial]:
    """The trial with the smallest evaluation index, as in AlgoPerf's code.

    Where indices tie, that code takes the trial which the file system lists first. Here it is the one with the lowest
    number, unless another one made more steps in less time: so the published v0.5 and v0.6 tables come out.
    """
    first = min(hit.index for hit, _ in candidates)
    tied = sorted((c for c in candidates if c[0].index == first), key=lambda candidate: candidate[1].trial)
    best = tied[0]
    for other in tied[1:]:
        if other[0].steps > best[0].steps and other[0].wall < best[0].wall:
            best = other
    return best


def within(seconds: float, budget_sec: float | None) -> bool:
    return budget_sec is None or seconds <= budget_sec


def _reasons(trials: Sequence[Trial], goal: Goal) -> str:
    """Why no trial of a study reached the target, for people: each reason once, with how often it occurred."""
    counts = collections.Counter(trial_reason(trial, goal) for trial in trials)
    share = {n: f" ({n} of {len(trials)} trials)" if len(trials) > 1 else "" for n in counts.values()}
    reasons = "; ".join(reason + share[n] for reason, n in counts.most_common())
    best = goal.best(trial.best for trial in trials)
    return reasons if math.isnan(best) else f"{reasons}; best {goal.metric} {best:.4g}, target {goal.target:.4g}"


def trial_reason(trial: Trial, goal: Goal) -> str:
    """Why one trial missed: what it recorded, or what its evaluations show."""
    if trial.hit is not None:
        return "reached after the budget"
    if trial.reason:
        reason = trial.reason.replace("_", " ")
        return f"{reason}: {trial.detail}" if trial.detail else reason
    if not trial.evaluations:
        return "no evaluations"
    if trial.last_is_nan:
        return "metric became NaN"
    if not within(trial.wall, goal.budget_sec):
        return "budget exhausted"
    return "target not reached"


def _note_missing(
    cells: Mapping[tuple[str, str], tuple[StudyTime, ...]],
    submissions: Sequence[str],
    layout: Layout,
    benchmark: Benchmark,
    odd: Irregularities,
) -> None:
    for workload in benchmark.layout.workloads:
        if workload not in layout.workloads:
            odd.add("workload_without_data", "no submission has data; left out of every score", workload=workload)
    for submission, workload in itertools.product(submissions, layout.workloads):
        cell = {"submission": submission, "workload": workload}
        studies = cells.get((submission, workload), ())
        if not studies:
            odd.add("no_data", "no trial at all; counts as a miss", **cell)
            continue
        _note_count(odd, "studies", len(studies), benchmark.studies, "the median is over these", cell)
        for study in studies:
            n = len(study.trials)
            _note_count(odd, "trials", n, benchmark.trials, f"in study {study.study}", cell)


def _note_count(odd: Irregularities, what: str, found: int, expected: int, remark: str, cell: dict[str, str]) -> None:
    if found != expected:
        kind = f"{'missing' if found < expected else 'extra'}_{what}"
        odd.add(kind, f"{found} {what} instead of {expected} ({remark})", **cell)
