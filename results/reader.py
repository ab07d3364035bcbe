"""One reader for timetrial's run folders and AlgoPerf's log folders.

Both lay trials out alike; ours have a ``trial.json`` beside the evaluations. Every trial is reduced to one
:class:`Trial` as soon as its evaluations are read, so that memory does not grow with the number of evaluations.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from results.evaluations import Goal, Hit, find_hit, read_columns
from results.irregularities import Irregularities
from results.machines import MachineClass, MachineClasses
from results.places import Place, find_places
from results.record import CLOCKS, CPU, EXAMPLES, STEPS, WALL, StopReason, TrialRecord
from results.store import (
    EVALUATIONS_FILE,
    HPARAMS_FILE,
    RUN_FILE,
    TRIAL_FILE,
    DamagedRecordError,
    StoreError,
    read_run,
    read_trial,
)

FEW_BATCHES, MANY_BATCHES = 10, 1.1
"""So many batches, which an initializer may draw, and so many per step are what steps are compared by."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """The facts of one trial that matter for its time to target.

    Attributes:
      submission, workload, framework, study, trial: as the folders name them.
      folder: the trial's folder.
      hit: when the target was met, or None.
      evaluations: number of usable evaluations.
      wall, cpu, steps: clocks at the last evaluation (seconds, seconds, steps); NaN where unknown.
      best: best value of the metric; NaN without one.
      last_is_nan: whether the metric was NaN at the last evaluation.
      point: the hyperparameters as text, empty where there are none; equal texts are equal points.
      reason, detail: why the trial stopped, where it is recorded; else empty.
      used: submission time in all, in seconds; NaN where it is not recorded.
      machine: index of its class in :attr:`Table.machines`; None where it is not recorded.
      scale: what its recorded seconds were multiplied by, to compare with another machine class.
    """

    submission: str
    workload: str
    framework: str
    study: int
    trial: int
    folder: str
    hit: Hit | None
    evaluations: int
    wall: float
    cpu: float
    steps: float
    best: float
    last_is_nan: bool
    point: str
    reason: str
    detail: str
    used: float = math.nan
    machine: int | None = None
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class WorkloadFacts:
    """What own records say about one workload; equal in all its trials."""

    goal: Goal
    base_workload: str
    variant: str
    version: int


@dataclasses.dataclass(frozen=True)
class Table:
    """All trials, sorted by submission, workload, study and trial.

    Attributes:
      trials: one row per trial.
      goals: target by workload.
      own: facts by workload where the trials are timetrial's own, else empty.
      shared: facts that all own records share, by name (``ruleset``, ``track``, ``scale``).
      facts: distinct values of other facts of own records (``machine``, ``versions``, ``seed``), with their counts.
      irregularities: what was odd.
      machines: machine classes of own records.
    """

    trials: tuple[Trial, ...]
    goals: Mapping[str, Goal]
    own: Mapping[str, WorkloadFacts]
    shared: Mapping[str, str]
    facts: Mapping[str, Mapping[str, int]]
    irregularities: Irregularities
    machines: tuple[MachineClass, ...] = ()


def read_place(place: Place, goal: Goal, record: TrialRecord | None, odd: Irregularities) -> Trial:
    """Reduces one trial's evaluations to its facts.

    Raises:
      StoreError: the file lacks the metric's or the time's column.
    """
    path = place.folder / EVALUATIONS_FILE
    raced = record is not None and record.stop_reason is StopReason.RACED
    columns = _evaluations(path, place, goal, odd, may_be_empty=raced)
    values = columns.get(goal.column, [])
    hit = find_hit(columns, goal) if values else None
    if record is not None and record.stop_reason is StopReason.DISQUALIFIED:
        hit = None
        odd.add(
            "disqualified",
            f"{record.stop_detail}; the trial counts as a miss",
            submission=place.submission,
            workload=place.workload,
            where=str(place.folder),
        )
    if record is not None:
        _compare_with_record(place, hit, record, odd)
        _note_batches(place, columns, record, odd)
        if record.disturbed:
            odd.add(
                "disturbed_machine",
                f"{record.disturbed}; times may not be the algorithm's, steps and CPU time may do",
                submission=place.submission,
                workload=place.workload,
                where=str(place.folder),
            )
    n_nan = sum(map(math.isnan, values))
    if n_nan:
        odd.add(
            "nan_metric",
            f"{goal.column} is NaN in some evaluations; these do not reach the target",
            submission=place.submission,
            workload=place.workload,
            where=str(path),
        )
    return Trial(
        place.submission,
        place.workload,
        place.framework,
        place.study,
        place.trial,
        str(place.folder),
        hit,
        evaluations=len(values),
        wall=columns[WALL][-1] if values else math.nan,
        cpu=columns[CPU][-1] if values and CPU in columns else math.nan,
        steps=columns[STEPS][-1] if values else math.nan,
        best=goal.best(values),
        last_is_nan=bool(values) and math.isnan(values[-1]),
        point=_point(place.folder, record),
        reason=record.stop_reason.value if record else "",
        detail=record.stop_detail if record else "",
        used=record.submission_sec if record else math.nan,
    )


def _point(folder: Path, record: TrialRecord | None) -> str:
    if record is not None:
        point = record.spec.hyperparameters
        return sys.intern(json.dumps(point, sort_keys=True)) if point else ""
    try:
        return sys.intern((folder / HPARAMS_FILE).read_text(errors="replace"))
    except OSError:
        return ""


def _evaluations(
    path: Path, place: Place, goal: Goal, odd: Irregularities, *, may_be_empty: bool
) -> dict[str, list[float]]:
    cell = {"submission": place.submission, "workload": place.workload}
    try:
        columns, complaints = read_columns(path, [*CLOCKS.values(), EXAMPLES, goal.column])
    except FileNotFoundError:
        odd.add("no_evaluations", f"no {EVALUATIONS_FILE}; the trial counts as a miss", **cell, where=str(path.parent))
        return {}
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; mend its permissions or remove it") from error
    for complaint in complaints:
        odd.add("damaged_line", complaint, **cell, where=str(path))
    if not columns or not any(columns.values()):
        if not may_be_empty:
            why = "the file holds no evaluation; the trial counts as a miss"
            odd.add("no_evaluations", why, **cell, where=str(path))
        return {}
    for name in (goal.column, WALL, STEPS):
        if name not in columns:
            raise StoreError(f"{path} has no column {name!r}; the metric's name or the file is wrong")
    if any(b < a for a, b in zip(columns[WALL], columns[WALL][1:], strict=False)):
        odd.add("clock_goes_back", f"{WALL} falls between evaluations", **cell, where=str(path))
    return columns


def _compare_with_record(place: Place, hit: Hit | None, record: TrialRecord, odd: Irregularities) -> None:
    recorded = record.crossing.steps if record.crossing else None
    measured = hit.steps if hit else None
    if recorded != measured:
        odd.add(
            "record_disagrees",
            f"{TRIAL_FILE} has the target met at step {recorded}, the evaluations at step {measured}; the latter count",
            submission=place.submission,
            workload=place.workload,
            where=str(place.folder),
        )


def _note_batches(place: Place, columns: dict[str, list[float]], record: TrialRecord, odd: Irregularities) -> None:
    """An entry decides how much it does in one step, so that steps compare those alone that draw a batch in each."""
    steps, drawn = (columns.get(name, [0.0])[-1] for name in (STEPS, EXAMPLES))
    batches = drawn / record.batch_size if record.batch_size else 0.0
    if batches > FEW_BATCHES + MANY_BATCHES * steps:
        odd.add(
            "several_batches_per_step",
            f"{batches:.0f} batches in {steps:.0f} steps; its steps do not compare with others', its times do",
            submission=place.submission,
            workload=place.workload,
            where=str(place.folder),
        )


def read_table(
    directories: Sequence[Path],
    goal_of: Callable[[str], Goal | None] | None = None,
) -> Table:
    """Reads all trials below the directories.

    Args:
      directories: folders of submissions, or submissions' folders.
      goal_of: goal by workload; None for workloads which are known but not wanted (their trials are skipped). It may
        raise for unknown ones. Without it the goals come from the trials' own records.

    Raises:
      StoreError: no trials, the same trial twice, logs without records and no ``goal_of``, a missing column, or records
        which must not be compared (mixed rulesets, tracks, scales, targets or workload versions).
    """
    odd = Irregularities()
    collected = _Collected()
    trials = []
    damaged: DamagedRecordError | None = None
    for place in find_places(directories, odd):
        try:
            record = read_trial(place.folder) if _is_recorded(place) else None
        except DamagedRecordError as error:
            damaged = damaged or error
            cell = {"submission": place.submission, "workload": place.workload}
            odd.add("damaged_record", f"{error}; the trial is left out", **cell, where=str(place.folder))
            continue
        if record is not None:
            machine = collected.add(place, record)
        goal = goal_of(place.workload) if goal_of else _recorded_goal(place, record)
        if goal is None:
            odd.add(
                "unscored_workload",
                "known, but not part of this benchmark; ignored",
                submission=place.submission,
                workload=place.workload,
                where=str(place.folder.parent),
            )
            continue
        collected.goals[place.workload] = goal
        trial = read_place(place, goal, record, odd)
        trials.append(trial if record is None else dataclasses.replace(trial, machine=machine))
    if damaged and not trials:
        raise damaged
    collected.note_runs(directories, odd)
    collected.note_machines(odd)
    return Table(
        tuple(trials),
        collected.goals,
        {name: facts for name, (facts, _) in sorted(collected.workloads.items())},
        {name: value for name, (value, _) in collected.shared.items()},
        {name: dict(sorted(counts.items())) for name, counts in collected.facts.items()},
        odd,
        tuple(collected.machines.found),
    )


def _is_recorded(place: Place) -> bool:
    """Whether a trial is timetrial's own: has a record, or lies in a results folder of a run and has lost it."""
    return (place.folder / TRIAL_FILE).exists() or (place.folder.absolute().parents[3] / RUN_FILE).exists()


def _recorded_goal(place: Place, record: TrialRecord | None) -> Goal:
    if record is None:
        raise StoreError(
            f"{place.folder} has no {TRIAL_FILE}, so its target is unknown; name the benchmark whose logs these are "
            "(--benchmark v0.5), or remove the folder"
        )
    return recorded_goal(record)


def recorded_goal(record: TrialRecord) -> Goal:
    """The goal that a trial had.

    Raises:
      StoreError: it had no target.
    """
    spec = record.spec
    if spec.validation_target is None:
        raise StoreError(
            f"{spec.key.folder}/{TRIAL_FILE}: validation_target is null: the trial had no target, so no time "
            "to it; such runs set targets and are not scored"
        )
    return Goal(spec.metric, spec.direction, spec.validation_target, spec.budget_sec)


class _Collected:
    """What own records say, checked for equality where only equal values may be compared."""

    def __init__(self) -> None:
        self.goals: dict[str, Goal] = {}
        self.workloads: dict[str, tuple[WorkloadFacts, Place]] = {}
        self.shared: dict[str, tuple[str, Place]] = {}
        self.facts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self.machines = MachineClasses()

    def add(self, place: Place, record: TrialRecord) -> int:
        """Takes a record's facts; returns the index of its machine class."""
        spec = record.spec
        facts = WorkloadFacts(recorded_goal(record), spec.base_workload, spec.variant, spec.workload_version)
        known, first = self.workloads.setdefault(place.workload, (facts, place))
        for field in dataclasses.fields(WorkloadFacts):
            self._must_agree(f"{field.name} of {place.workload}", known, facts, field.name, first, place)
        for name in ("ruleset", "track", "scale"):
            value = getattr(spec, name)
            known_value, first = self.shared.setdefault(name, (value, place))
            if known_value != value:
                raise StoreError(_mixed(name, known_value, value, first, place))
        for name, fact in _facts(record):
            self.facts[name][fact] += 1
        return self.machines.add(record, str(place.folder))

    @staticmethod
    def _must_agree(what: str, known: Any, new: Any, field: str, first: Place, place: Place) -> None:
        a, b = getattr(known, field), getattr(new, field)
        if a != b:
            raise StoreError(_mixed(what, a, b, first, place))

    def note_runs(self, directories: Sequence[Path], odd: Irregularities) -> None:
        for directory in map(Path, dict.fromkeys(directories)):
            try:
                run = read_run(directory) or {}
            except StoreError as error:  # it tells nothing that a score needs
                odd.add("damaged_run_file", str(error), where=str(directory / RUN_FILE))
                continue
            for name in ("command", "seed"):
                if name in run:
                    self.facts[name][str(run[name])] += 1

    def note_machines(self, odd: Irregularities) -> None:
        for found in self.machines.found:
            self.facts["machine"][found.text] += found.trials
        for name in self.facts:
            kind = name.partition(" ")[0]
            if kind in ("machine", "versions") and len(self.facts[name]) > 1:
                odd.add(
                    f"several_{kind.rstrip('s')}s",
                    f"trials differ in {name}; times from them may not compare: " + "; ".join(sorted(self.facts[name])),
                )


def _mixed(what: str, a: Any, b: Any, first: Place, place: Place) -> str:
    return (
        f"mixed {what}: {a} in {first.folder / TRIAL_FILE} and {b} in {place.folder / TRIAL_FILE}; "
        "score them separately"
    )


def _facts(record: TrialRecord) -> Iterator[tuple[str, str]]:
    yield f"versions with {record.spec.key.framework}", _words(record.spec.versions)
    yield "threads per trial", str(record.spec.threads)
    yield "started", record.started_at[:10]


def _words(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(facts.items()) if value not in ([], None, ""))
