"""Suite and rulesets to the list of trials, each with a digest of everything that could change its outcome.

The results are the ledger: a planned trial is done when a record with its digest lies in its folder, so that reissuing
a command runs exactly what is missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import __version__
from harness.entry import Entry, find_entry
from harness.errors import UsageError
from harness.resampling import Fold, Resampling
from harness.seeds import derive, digest
from harness.spec import Framework, Workload
from harness.suite import Request
from harness.task import TrialTask
from harness.tuning import RULESETS, Ruleset, sample
from harness.workloads import make_workload
from results.record import StopReason, TrialKey, TrialRecord, TrialSpec
from results.store import DamagedRecordError, find_trials, read_trial, trial_folder


@dataclasses.dataclass(frozen=True)
class PlannedTrial:
    task: TrialTask
    digest: str

    @property
    def key(self) -> TrialKey:
        return self.task.spec.key


class Status(enum.StrEnum):
    """``failed`` trials have a record and count as run; ``stale`` ones have a record made under other conditions;
    ``damaged`` ones have one that cannot be trusted, which a run sets aside; ``raced`` ones were stopped by racing."""

    DONE = "done"
    MISSING = "missing"
    STALE = "stale"
    FAILED = "failed"
    DAMAGED = "damaged"
    RACED = "raced"


UNRECORDED = frozenset({Status.MISSING, Status.DAMAGED, Status.RACED})
"""What every run runs; a run that races leaves out raced trials that would be stopped again."""


@dataclasses.dataclass(frozen=True)
class PlannedStatus:
    trial: PlannedTrial
    status: Status
    why: str = ""
    record: TrialRecord | None = None


def plan_trials(request: Request) -> list[PlannedTrial]:
    """All trials of a request, in the order in which they should run.

    Within a study and workload the submissions take turns, in an order that is reversed from one trial to the next
    (A B, B A, ...), so that a machine that drifts cannot favour one.

    Raises:
      UsageError: an unknown name, an entry outside the suite's track, ruleset or framework, a workload without target.
    """
    competitors = _competitors(request)
    if request.target_required:
        _check_targets(request)
    ruleset = RULESETS[request.ruleset]
    planned: list[PlannedTrial] = []
    for number, replicate in enumerate(_replicates(request), 1):
        workloads = [_workload(request, name, replicate) for name in request.workloads]
        points = [_points(request, entry, ruleset, replicate.study) for entry, _ in competitors]
        for workload in workloads:
            for trial in range(1, max(map(len, points)) + 1):
                turn = [
                    _planned(request, ruleset, workload, entry, framework, replicate, trial, found[trial - 1])
                    for (entry, framework), found in zip(competitors, points, strict=True)
                    if trial <= len(found)
                ]
                planned += turn if (number + trial) % 2 == 0 else reversed(turn)
    return planned


def _check_targets(request: Request) -> None:
    """One error for all workloads without a target; one workload's own error says how to set it."""
    without = [w for w in (make_workload(name, request.scale) for name in request.workloads) if not w.has_target]
    if len(without) > 1:
        names = ", ".join(workload.full_name for workload in without)
        raise UsageError(
            f"{len(without)} workloads have no target at scale {request.scale}: {names}; set the mini ones with "
            "`timetrial targets WORKLOAD --write`, or name the others alone with --workload"
        )


@dataclasses.dataclass(frozen=True)
class _Replicate:
    """One repetition of everything: a study on the benchmark's own split, or a fold of a resampling plan."""

    study: int
    fold: Fold | None = None


def _replicates(request: Request) -> list[_Replicate]:
    if request.folds:
        return [_Replicate(1, fold) for fold in request.folds]
    return [_Replicate(study) for study in range(1, request.studies + 1)]


def _split_seed(request: Request) -> int:
    return request.seed if request.split_seed is None else request.split_seed


def _workload(request: Request, name: str, replicate: _Replicate) -> Workload:
    resampling = Resampling(replicate.fold, _split_seed(request)) if replicate.fold else None
    return make_workload(name, request.scale, request.data_dir, resampling=resampling)


def _competitors(request: Request) -> list[tuple[Entry, Framework]]:
    found: dict[str, tuple[Entry, Framework]] = {}
    for reference, wanted in request.submissions:
        entry = find_entry(reference, request.search_space)
        if request.ruleset not in entry.rulesets:
            lacks = "search_space" if request.ruleset == "external" else "defaults"
            raise UsageError(
                f"submission {entry.name} cannot run under the {request.ruleset} ruleset: it has no {lacks}"
            )
        if entry.track not in ("algoperf", request.track) and request.track != "open":
            raise UsageError(
                f"submission {entry.name} belongs to track {entry.track}, the suite to {request.track}; "
                f"run it with --track {entry.track} or --track open"
            )
        for framework in entry.frameworks_for(wanted):
            name = entry.competitor(framework)
            if name in found and found[name][0].path != entry.path:
                raise UsageError(
                    f"two submissions are called {name}: {found[name][0].path} and {entry.path}; rename one"
                )
            found[name] = (entry, framework)
    if not found:
        raise UsageError("no submission is named; give --submission NAME, see `timetrial list submissions`")
    return list(found.values())


def _points(request: Request, entry: Entry, ruleset: Ruleset, study: int) -> Sequence[Mapping[str, Any] | None]:
    if ruleset.name == "self_tuning" or entry.search_space is None:
        return [None]
    return sample(entry.search_space, request.trials, derive(seed=request.seed, study=study))


def _planned(
    request: Request,
    ruleset: Ruleset,
    workload: Workload,
    entry: Entry,
    framework: Framework,
    replicate: _Replicate,
    trial: int,
    point: Mapping[str, Any] | None,
) -> PlannedTrial:
    target = workload.target if request.target_required or workload.has_target else None
    settings = workload.base_settings
    study, fold = replicate.study, replicate.fold.label if replicate.fold else ""
    spec = TrialSpec(
        key=TrialKey(entry.competitor(framework), workload.full_name, framework, study, trial, fold),
        base_workload=workload.name,
        variant=workload.variant,
        scale=workload.scale,
        workload_version=workload.version,
        ruleset=ruleset.name,
        track=request.track,
        hyperparameters=point,
        seed=derive(seed=request.seed, workload=workload.full_name, study=fold or study, trial=trial),
        entry_digest=entry.digest,
        metric=workload.metric.name,
        direction=workload.metric.direction,
        validation_target=target.validation if target else None,
        test_target=target.test if target else None,
        budget_sec=request.budget_sec or settings.max_runtime_sec * ruleset.budget_factor,
        max_steps=request.max_steps,
        step_hint=settings.step_hint,
        eval_period_sec=settings.eval_period_sec,
        eval_period_steps=settings.eval_period_steps,
        threads=request.threads,
        versions=versions(framework) | (_splitter_version() if fold else {}),
        stop_at_target=request.stop_at_target,
        split_seed=_split_seed(request) if fold else None,
    )
    data_dir = request.data_dir.resolve() if request.data_dir else None  # the trial runs in a folder of its own
    return PlannedTrial(TrialTask(spec, entry, data_dir), spec_digest(spec))


def spec_digest(spec: TrialSpec) -> str:
    """A trial's identity."""
    return digest(dataclasses.asdict(spec))


_DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch", "numpy", "schedulefree"),
    "jax": ("jax", "jaxlib", "optax", "numpy"),
}


@functools.cache
def versions(framework: Framework) -> dict[str, str]:
    """Versions that could change a trial's outcome, read without importing the framework."""
    found = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS[framework]}
    return {"timetrial": __version__, "python": platform.python_version(), **found}


def _splitter_version() -> dict[str, str]:
    return {"scikit-learn": importlib.metadata.version("scikit-learn")}


def plan_status(planned: Sequence[PlannedTrial], out: Path) -> list[PlannedStatus]:
    """What is done, missing, stale, failed or damaged in a results folder, and why.

    Raises:
      StoreError: a record cannot be read, or was written by a newer version.
    """
    return [_status(trial, trial_folder(out, trial.key)) for trial in planned]


def _status(trial: PlannedTrial, folder: Path) -> PlannedStatus:
    if not folder.is_dir():
        return PlannedStatus(trial, Status.MISSING)
    try:
        record = read_trial(folder)
    except DamagedRecordError as error:
        return PlannedStatus(trial, Status.DAMAGED, str(error))
    if record.digest != trial.digest:
        return PlannedStatus(trial, Status.STALE, "; ".join(_differences(record.spec, trial.task.spec)), record)
    if record.stop_reason.failed:
        return PlannedStatus(trial, Status.FAILED, f"{record.stop_reason}: {record.stop_detail}", record)
    if record.stop_reason is StopReason.RACED:
        return PlannedStatus(trial, Status.RACED, f"not whole: {record.stop_detail}", record)
    return PlannedStatus(trial, Status.DONE, record=record)


def _differences(recorded: TrialSpec, wanted: TrialSpec) -> Iterator[str]:
    """``seed: recorded 1, now 2`` for every field that differs."""
    before, now = dataclasses.asdict(recorded), dataclasses.asdict(wanted)
    for name in now:
        if digest(before[name]) != digest(now[name]):
            old, new = before[name], now[name]
            if isinstance(new, Mapping) and isinstance(old, Mapping):
                keys = [k for k in {**old, **new} if old.get(k) != new.get(k)]
                old, new = {k: old.get(k) for k in keys}, {k: new.get(k) for k in keys}
            yield f"{name}: recorded {_brief(old)}, now {_brief(new)}"


def _brief(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if isinstance(value, str) and len(text) > 40 else text


def folder_facts(request: Request) -> dict[str, Any]:
    """What every run into one results folder must share."""
    return {name: getattr(request, name) for name in ("ruleset", "track", "scale", "seed", "threads")}


def made_for_another(recorded: Mapping[str, Any], request: Request, path: Path) -> str:
    """Why a folder whose run file says ``recorded`` is not for a request; empty where it is."""
    for name, value in {**folder_facts(request), "timetrial": __version__}.items():
        if recorded.get(name) != value:
            return (
                f"{path}: {name}: this folder was made with {name} {recorded.get(name)!r}, this run has {value!r}; "
                f"choose another --out, or use the recorded {name}"
            )
    return ""


@dataclasses.dataclass(frozen=True)
class Price:
    """What unrecorded trials cost: expected from recorded ones where there are any, at most by the budgets.

    Seconds of wall time with ``jobs`` at a time; ``known`` of ``trials`` are priced from records.
    """

    trials: int
    known: int
    expected_sec: float
    at_most_sec: float


EVALUATION_ALLOWANCE = 1.3
"""Wall time over submission time that an unrecorded trial is priced at: start-up and evaluation come on top."""


def other_records(statuses: Sequence[PlannedStatus], out: Path) -> Iterator[TrialRecord]:
    """Records in a results folder of trials that are not planned; damaged ones are left out."""
    planned = {trial_folder(out, status.trial.key) for status in statuses}
    for folder in find_trials(out):
        if folder not in planned:
            with contextlib.suppress(DamagedRecordError):
                yield read_trial(folder)


def price(
    statuses: Sequence[PlannedStatus],
    jobs: int,
    others: Iterable[TrialRecord] = (),
    again: Sequence[PlannedStatus] = (),
) -> Price:
    """Prices the trials that a run would run, those that it would repeat (``again``) among them; ``others`` are records
    of submissions that are not planned."""
    recorded: dict[tuple[str, ...], list[float]] = {}
    for record in others:
        if not record.stop_reason.failed and record.stop_reason is not StopReason.RACED:
            recorded.setdefault((record.spec.key.workload, record.spec.key.framework), []).append(record.wall_sec)
    for status in statuses:
        if status.status is Status.DONE and status.record is not None:
            key = status.trial.key
            for group in ((key.submission, key.workload), (key.workload, key.framework)):
                recorded.setdefault(group, []).append(status.record.wall_sec)
    missing = [*(s.trial for s in statuses if s.status in UNRECORDED), *(s.trial for s in again)]
    expected, at_most, known = 0.0, 0.0, 0
    for trial in missing:
        key, budget = trial.key, trial.task.spec.budget_sec * EVALUATION_ALLOWANCE
        seen = recorded.get((key.submission, key.workload)) or recorded.get((key.workload, key.framework))
        known += seen is not None
        expected += sorted(seen)[len(seen) // 2] if seen else budget
        at_most += budget
    return Price(len(missing), known, expected / jobs, at_most / jobs)
