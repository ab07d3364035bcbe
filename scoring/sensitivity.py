"""What the scores hang on: single workloads, the other entries, the budget, and the choice of the best trial."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from results.evaluations import Goal
from results.record import StopReason
from scoring.benchmark import Benchmark
from scoring.cells import Field, StudyTime
from scoring.profile import CREDITS, Layout, performance_ratios

Scores = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Extremes:
    """Smallest and largest score and best and worst rank over all leave-one-out fields, and which one was left out."""

    lowest: float
    lowest_without: str
    highest: float
    highest_without: str
    best_rank: int
    worst_rank: int


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """See the functions of this module; scores by submission.

    Attributes:
      without_workload: scores by base workload left out (its variants with it).
      without_submission: scores by submission left out.
      winners: workloads and submissions without which another entry leads, and that entry.
      censoring: (score, score if each of its misses had arrived right after the budget); empty off the wall clock.
      nested: score with the hyperparameter point chosen on the other studies; empty where studies do not share points.
      nested_why_not: why ``nested`` is empty.
    """

    without_workload: Mapping[str, Scores]
    without_submission: Mapping[str, Scores]
    winners: Mapping[str, str]
    censoring: Mapping[str, tuple[float, float]]
    nested: Scores
    nested_why_not: str

    def extremes(self, submission: str) -> dict[str, Extremes]:
        """By kind of field: ``workload`` and ``submission`` left out."""
        kinds = {"workload": self.without_workload, "submission": self.without_submission}
        return {kind: _extremes(submission, fields) for kind, fields in kinds.items() if _has(submission, fields)}


def _has(submission: str, fields: Mapping[str, Scores]) -> bool:
    return any(submission in scores for scores in fields.values())


def _extremes(submission: str, fields: Mapping[str, Scores]) -> Extremes:
    found = sorted((scores[submission], left_out) for left_out, scores in fields.items() if submission in scores)
    ranks = [
        1 + sum(other > scores[submission] + 1e-12 for other in scores.values())
        for scores in fields.values()
        if submission in scores
    ]
    return Extremes(found[0][0], found[0][1], found[-1][0], found[-1][1], min(ranks), max(ranks))


def scores_of(times: np.ndarray, layout: Layout, rules: str) -> np.ndarray:
    """Scores ``(..., S)`` of times ``(..., S, W)``."""
    return CREDITS[rules](performance_ratios(times, layout)).mean(axis=-1)


def examine(field: Field, benchmark: Benchmark, rules: str) -> Sensitivity:
    """All sensitivities of the field's scores."""
    times = field.medians()
    by_workload = leave_one_workload_out(times, field, rules)
    by_submission = leave_one_submission_out(times, field, rules)
    scores = _named(field.submissions, scores_of(times, field.layout, rules))
    leader = _leader(scores)
    winners = {
        left_out: _leader(without)
        for left_out, without in (*by_workload.items(), *by_submission.items())
        if left_out != leader and _leader(without) != leader
    }
    nested_times, why_not = nested_medians(field, benchmark.goals)
    nested = {} if nested_times is None else _named(field.submissions, scores_of(nested_times, field.layout, rules))
    return Sensitivity(by_workload, by_submission, winners, censoring_bounds(field, benchmark, rules), nested, why_not)


def _named(names: Sequence[str], values: np.ndarray) -> Scores:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _leader(scores: Scores) -> str:
    return min(scores, key=lambda name: (-round(scores[name], 12), name))


def leave_one_workload_out(times: np.ndarray, field: Field, rules: str) -> dict[str, Scores]:
    """Scores without each base workload and its variants; nothing for a single workload."""
    if len(field.layout.base) < 2:
        return {}
    result = {}
    for b, name in enumerate(field.layout.base):
        layout, keep = field.layout.without(b)
        result[name] = _named(field.submissions, scores_of(times[:, keep], layout, rules))
    return result


def leave_one_submission_out(times: np.ndarray, field: Field, rules: str) -> dict[str, Scores]:
    """Scores of the others without each submission; nothing for fewer than three."""
    n = len(field.submissions)
    if n < 3:
        return {}
    result = {}
    for i, name in enumerate(field.submissions):
        keep = [j for j in range(n) if j != i]
        names = [field.submissions[j] for j in keep]
        result[name] = _named(names, scores_of(times[keep], field.layout, rules))
    return result


def censoring_bounds(field: Field, benchmark: Benchmark, rules: str) -> dict[str, tuple[float, float]]:
    """Each score, and what it would be if all the submission's misses had arrived right after the budget.

    The truth lies between: a miss says only that the budget was too short. Without a budget a miss stays one.
    """
    if field.clock != "wall":
        return {}
    times = field.medians()
    budgets = np.array([benchmark.goals[name].budget_sec or math.inf for name in field.layout.workloads])
    scores = scores_of(times, field.layout, rules)
    result = {}
    for i, name in enumerate(field.submissions):
        generous = times.copy()
        generous[i] = np.where(np.isfinite(times[i]), times[i], budgets)
        result[name] = (float(scores[i]), float(scores_of(generous, field.layout, rules)[i]))
    return result


def nested_medians(field: Field, goals: Mapping[str, Goal]) -> tuple[np.ndarray | None, str]:
    """Median times ``(S, W)`` when each study runs only the point that did best on the other studies.

    The best point has the smallest median time on the others; among equals more hits, then the better mean of the
    trials' best metric, then the lower number. This is nested selection (Varma & Simon 2006): what the tuned procedure
    is worth when tuning and scoring do not share data. Only where the trials of one number have the same
    hyperparameters in all studies; a number with two points counts as one if most studies agree.

    Returns:
      The times, or None and the reason.
    """
    if all(len(study.trials) < 2 for studies in field.cells.values() for study in studies):
        return None, "one trial per study: nothing is selected"
    if field.n_studies < 2:
        return None, "one study: nothing to select on"
    if any(trial.reason == StopReason.RACED for studies in field.cells.values() for s in studies for trial in s.trials):
        return None, "racing stopped trials: what their points are worth in other studies is not known"
    times = np.full((len(field.submissions), len(field.layout.workloads)), np.nan)
    for i, submission in enumerate(field.submissions):
        for j, workload in enumerate(field.layout.workloads):
            studies = field.studies(submission, workload)
            if not studies:
                continue
            if not _points_shared(studies):
                return None, f"studies of {submission} on {workload} do not share their hyperparameter points"
            times[i, j] = float(np.median(_nested_times(studies, goals[workload], field.clock)))
    return times, ""


def _points_shared(studies: Sequence[StudyTime]) -> bool:
    points: dict[int, list[str]] = {}
    for study in studies:
        for trial in study.trials:
            points.setdefault(trial.trial, []).append(trial.point)
    return all(2 * max(map(texts.count, texts)) > len(texts) for texts in points.values())


def _nested_times(studies: Sequence[StudyTime], goal: Goal, clock: str) -> list[float]:
    numbers = sorted({trial.trial for study in studies for trial in study.trials})
    times = np.full((len(studies), len(numbers)), math.inf)
    metric = np.full(times.shape, math.nan)
    for k, study in enumerate(studies):
        for trial in study.trials:
            column = numbers.index(trial.trial)
            times[k, column] = trial.hit.on(clock) if trial.hit else math.inf
            metric[k, column] = trial.best
    loss = metric if goal.direction == "minimize" else -metric
    if len(studies) == 1:
        return times[:, 0].tolist()
    others = np.array([np.delete(np.arange(len(studies)), k) for k in range(len(studies))])
    medians = np.median(times[others], axis=1)
    misses = np.isinf(times[others]).sum(axis=1)
    mean_loss = _mean_of_known(loss[others])
    chosen = [np.lexsort((mean_loss[k], misses[k], medians[k]))[0] for k in range(len(studies))]
    return times[np.arange(len(studies)), chosen].tolist()


def _mean_of_known(losses: np.ndarray) -> np.ndarray:
    """Means along axis 1 of finite values; infinite where there is none."""
    known = np.isfinite(losses)
    count = known.sum(axis=1)
    total = np.where(known, losses, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(total.shape, np.inf), where=count > 0)
