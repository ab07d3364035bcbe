"""Racing: when a trial that has not reached its target can no longer change a score, and what stopping it then saves.

Two rules, on submission time. *Within a study* the earliest trial counts, so a sibling that has used more than its time
is out. *Past the cut* of 4 times the fastest a median counts as a miss, so a trial is out which has used more than 4
times the slowest study of a submission that reached the target in all of its studies: however studies are resampled,
that submission's median is no slower, and the fastest is no slower than it. The second rule holds as long as the
submission that made the cut is scored along.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from results.evaluations import Goal
from results.irregularities import Irregularities
from results.reader import Table, Trial
from results.record import StopReason
from scoring.benchmark import Benchmark
from scoring.cells import Field, build_field, within
from scoring.profile import TAU_MAX, Layout

Times = Mapping[str, Mapping[str, Sequence[float]]]
"""Seconds to target by submission, workload and study, infinite for a miss; all studies that will be scored."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """Submission time after which a trial counts as a miss, and the submission whose slowest study decides it."""

    seconds: float = math.inf
    submission: str = ""


def cut_of(workload: str, times: Times, layout: Layout, *, studies: int) -> Cut:
    """The cut on a workload for a submission with so many studies.

    With an even number of studies a median is the mean of two times, so the cut is twice as far. On a base workload
    with held-out variants there is none: a variant's time counts only where its base was reached, however late, and
    may set the variant's fastest. On a variant only submissions count that reached its base in all studies as well.
    """
    if workload not in layout.workloads:
        return Cut()
    base = _base_of(workload, layout)
    if base == workload and layout.variants_of(layout.base.index(workload)):
        return Cut()
    factor = TAU_MAX if studies % 2 else 2 * TAU_MAX
    slowest = [
        (max(cells[workload]), name)
        for name, cells in sorted(times.items())
        if all(cells.get(needed) and all(map(math.isfinite, cells[needed])) for needed in {base, workload})
    ]
    seconds, name = min(slowest, default=(math.inf, ""))
    return Cut(factor * seconds, name)


def _base_of(workload: str, layout: Layout) -> str:
    if workload in layout.base:
        return workload
    return layout.base[layout.base_of[layout.held_out.index(workload)]]


# ---- recorded trials that racing stopped ----


def note_raced(field: Field, rules: str, odd: Irregularities) -> None:
    """Lists trials which racing stopped and which might have changed this score: on another clock or by other rules
    than racing goes by, or without what stopped them."""
    times = study_times(field)
    for (submission, workload), studies in field.cells.items():
        for study in studies:
            for trial in study.trials:
                if trial.reason != StopReason.RACED:
                    continue
                why = _why_it_might_count(trial, study.time, field, rules, times, len(studies))
                if why:
                    odd.add(
                        "raced",
                        f"stopped by racing, but {why}; the same run without --race runs it whole",
                        submission=submission,
                        workload=workload,
                        where=trial.folder,
                    )


def _why_it_might_count(trial: Trial, study_time: float, field: Field, rules: str, times: Times, studies: int) -> str:
    if field.clock != "wall":
        return f"by submission time, and this score is on the clock {field.clock}"
    if rules != "exact":
        return f"by the rules exact, and this score is by the rules {rules}"
    if trial.used > min(study_time, cut_of(trial.workload, times, field.layout, studies=studies).seconds):
        return ""
    return "what stopped it is not scored along"


def study_times(field: Field) -> dict[str, dict[str, list[float]]]:
    """Seconds by submission, workload and study, as :func:`cut_of` takes them."""
    found: dict[str, dict[str, list[float]]] = collections.defaultdict(dict)
    for (submission, workload), studies in field.cells.items():
        found[submission][workload] = [study.time for study in studies]
    return found


# ---- replaying racing on whole trials ----


@dataclasses.dataclass(frozen=True)
class Replay:
    """What racing would have done to recorded trials.

    Attributes:
      table: the trials as racing would have left them.
      stopped: trials that it would have stopped, of ``trials``.
      used_sec, saved_sec: submission time of all trials as recorded, and how much of it racing would have saved.
      saved_by: the part of it by rule (``study``, ``cut``).
    """

    table: Table
    trials: int
    stopped: int
    used_sec: float
    saved_sec: float
    saved_by: Mapping[str, float]


def replay(table: Table, benchmark: Benchmark, *, anchors: Collection[str] = (), side_by_side: bool = False) -> Replay:
    """Replays racing on trials that were run whole.

    Args:
      table: the trials; their order within a study is that of their numbers.
      benchmark: what they are scored against.
      anchors: submissions that ran before all others, whose times make the cut; without any there is no cut.
      side_by_side: all trials of a study ran at the same time; else one after another.
    """
    field = build_field(dataclasses.replace(table, irregularities=Irregularities()), benchmark)
    known = {name: cells for name, cells in study_times(field).items() if name in anchors}
    kept: list[Trial] = []
    saved = {"study": 0.0, "cut": 0.0}
    stopped, used = 0, 0.0
    for (submission, workload), studies in field.cells.items():
        goal = table.goals[workload]
        cut = math.inf
        if submission not in anchors:
            cut = cut_of(workload, known, field.layout, studies=len(studies)).seconds
        for study in studies:
            for trial, best in _with_best(study.trials, goal, side_by_side):
                end = _end(trial, goal)
                used += end
                limit, rule = min((best, "study"), (cut, "cut"))
                if limit < _hit(trial, goal) and limit < end:
                    stopped += 1
                    saved[rule] += end - limit
                    trial = _stopped(trial, limit)
                kept.append(trial)
    kept.sort(key=lambda t: (t.submission, t.workload, t.study, t.trial))
    raced = dataclasses.replace(table, trials=tuple(kept), irregularities=Irregularities())
    return Replay(raced, len(kept), stopped, used, sum(saved.values()), saved)


def _with_best(trials: Sequence[Trial], goal: Goal, side_by_side: bool) -> Iterator[tuple[Trial, float]]:
    """Each trial, and the best time among the siblings that count while it runs."""
    hits = [_hit(trial, goal) for trial in trials]
    for i, trial in enumerate(trials):
        yield trial, min(hits if side_by_side else hits[:i], default=math.inf)


def _hit(trial: Trial, goal: Goal) -> float:
    return trial.hit.wall if trial.hit is not None and within(trial.hit.wall, goal.budget_sec) else math.inf


def _end(trial: Trial, goal: Goal) -> float:
    """Submission time that a trial took; by its last evaluation where nothing else is recorded."""
    end = trial.wall if math.isnan(trial.used) else trial.used
    return 0.0 if math.isnan(end) else min(end, goal.budget_sec or math.inf)


def _stopped(trial: Trial, limit: float) -> Trial:
    nothing = math.nextafter(limit, math.inf)
    return dataclasses.replace(trial, hit=None, reason=StopReason.RACED.value, detail="replayed", used=nothing)
