"""Runs a request into a results folder: what is missing and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from harness import __version__
from harness.accelerators import VISIBLE, device_for
from harness.checkpoint import DEFAULT_EVERY_SEC, place_of, with_checkpoints
from harness.errors import UsageError
from harness.launch import DEFAULT_LIMITS, Limits, Observer, run_trials
from harness.limit import forget_limit
from harness.lock import locked
from harness.machine import machine_facts, other_class
from harness.plan import (
    EVALUATION_ALLOWANCE,
    UNRECORDED,
    PlannedStatus,
    PlannedTrial,
    Status,
    folder_facts,
    made_for_another,
    other_records,
    plan_status,
    plan_trials,
    versions,
)
from harness.progress import Progress, format_seconds
from harness.racing import Race
from harness.reruns import due, set_disturbed_aside
from harness.spec import Framework, WorkloadError
from harness.suite import Request
from results.record import StopReason, TrialRecord
from results.store import (
    OWN_FOLDER,
    RUN_FILE,
    DamagedRecordError,
    read_run,
    remove_leftovers,
    set_aside,
    trial_folder,
    write_json_atomically,
    write_trial,
)


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """Counts of a finished run: trials planned, run now, found done, with at least one evaluation, failed, and stopped
    by racing; also how much submission time racing has saved at most: what was left of their budgets; and how many of
    the runs repeated a trial whose machine was disturbed."""

    planned: int
    ran: int
    already_done: int
    measured: int
    failed: int
    raced: int = 0
    saved_at_most_sec: float = 0.0
    rerun: int = 0


def run(
    request: Request,
    out: Path,
    *,
    planned: Sequence[PlannedTrial] | None = None,
    jobs: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    replace_stale: bool = False,
    retry_failed: bool = False,
    checkpoint_every: float = DEFAULT_EVERY_SEC,
    rerun_disturbed: int = 0,
    one_machine: bool = False,
    count_flops: bool = False,
    race: bool = False,
    anchors: Sequence[Path] = (),
    console: Console | None = None,
    watched_by: Callable[[Observer], AbstractContextManager[Observer]] = contextlib.nullcontext,
) -> RunSummary:
    """Runs the missing trials of a request and keeps each in ``out`` as soon as it ends.

    Args:
      request: what to run.
      out: results folder; made if it is not there.
      planned: some of the request's trials; None for all.
      jobs: trials at a time, each on its own cores.
      limits: when a trial's process is ended.
      replace_stale: rerun trials whose record was made under other conditions.
      retry_failed: rerun trials that crashed, hung, were killed or ran out of memory.
      checkpoint_every: least wall time between two checkpoints of a trial, in seconds.
      rerun_disturbed: how often a trial is run again whose machine was disturbed; earlier records are set aside.
      one_machine: refuse to add trials to a folder which holds those of another machine class.
      count_flops: count the floating-point operations of each trial's step, off the clock.
      race: stop trials which can no longer change a score by the wall clock (:mod:`harness.racing`).
      anchors: with ``race``, results folders that will be scored along.
      console: where progress goes.
      watched_by: puts another observer of the trials around the one that shows progress.

    Raises:
      UsageError: the request is malformed, ``out`` belongs to another run or holds stale records, or another launch is
        running into it; or ``one_machine`` and it holds trials of another one, or one of two frameworks alone would
        train on a GPU.
      StoreError: ``out`` cannot be written.
    """
    console = console or Console(stderr=True)
    planned = plan_trials(request) if planned is None else planned
    if anchors and not race:
        raise UsageError("--anchor says what racing goes by; give --race as well")
    _refuse_foreign(out)
    again = UNRECORDED | ({Status.STALE} if replace_stale else set()) | ({Status.FAILED} if retry_failed else set())
    with locked(out):
        open_folder(out, request, console)
        statuses = plan_status(planned, out)
        _refuse_stale(statuses, replace_stale)
        if one_machine and (any(s.status in again for s in statuses) or due(statuses, out, rerun_disturbed)):
            _refuse_two_devices({trial.key.framework for trial in planned})
            _refuse_other_machine(statuses, out)
        set_damaged_aside(statuses, out, console)
        way = _Way(jobs, limits, checkpoint_every, count_flops, race, anchors, console, watched_by)
        summary = _run_missing(request, out, statuses, again, way)
        while set_disturbed_aside(plan_status(planned, out), out, rerun_disturbed, console):
            statuses = plan_status(planned, out)
            more = _run_missing(request, out, statuses, UNRECORDED, way)
            summary = dataclasses.replace(
                more,
                ran=summary.ran + more.ran,
                already_done=summary.already_done,
                rerun=summary.rerun + more.ran,
            )
        return summary


@dataclasses.dataclass(frozen=True)
class _Way:
    """How trials are run; the fields are arguments of :func:`run`."""

    jobs: int
    limits: Limits
    checkpoint_every: float
    count_flops: bool
    race: bool
    anchors: Sequence[Path]
    console: Console
    watched_by: Callable[[Observer], AbstractContextManager[Observer]]


def _run_missing(
    request: Request,
    out: Path,
    statuses: Sequence[PlannedStatus],
    again: Set[Status],
    way: _Way,
) -> RunSummary:
    for status in statuses:
        if status.status is Status.DONE:  # killed between writing the record and removing the checkpoint
            place_of(out, status.trial.digest).discard()
    race = Race([s.trial for s in statuses], out, way.anchors) if way.race else None
    held = {s.trial.digest: s.record for s in statuses if s.status is Status.RACED and s.record is not None}
    held = {digest: record for digest, record in held.items() if race is not None and race.holds(record)}
    todo = [s.trial for s in statuses if s.status in again and s.trial.digest not in held]
    not_whole = sum(1 for s in statuses if s.status is Status.RACED) - len(held)
    if not_whole:
        why = "are not out any more by what is recorded now" if way.race else "count only with --race"
        _say(way.console, f"{not_whole} trials were stopped by racing and {why}; they are run again")
    measured = sum(1 for s in statuses if s.status is Status.DONE) + len(held)
    failed = sum(1 for s in statuses if s.status is Status.FAILED and s.status not in again)
    done = len(statuses) - len(todo)
    if done:
        _say(way.console, f"{done} of {len(statuses)} trials are recorded in {out} already")
    if todo:
        prepare_data(request)
    counts = {"measured": measured, "failed": failed}
    stopped = list(held.values())

    def keep(record: TrialRecord, evaluations: Sequence[Mapping[str, Any]], right: np.ndarray | None) -> None:
        write_trial(out, record, evaluations, right)
        counts["measured"] += bool(evaluations)
        counts["failed"] += record.stop_reason.failed
        if record.stop_reason is StopReason.RACED:
            stopped.append(record)
        if race is not None:
            race.finished(record)

    expected: dict[tuple[str, str], float] = {
        (t.key.workload, t.key.framework): t.task.spec.budget_sec * EVALUATION_ALLOWANCE for t in reversed(todo)
    }
    tasks = [
        (dataclasses.replace(task, count_flops=way.count_flops), digest)
        for task, digest in with_checkpoints(todo, out, way.checkpoint_every)
    ]
    places = [(task.spec, task.checkpoint) for task, _ in tasks if task.checkpoint is not None]
    for _, place in places:
        forget_limit(place)  # of an earlier launch that raced
    if race is not None:
        race.follow(places)
    with Progress(way.console, len(todo), way.jobs, expected) as progress, way.watched_by(progress) as observer:
        run_trials(tasks, jobs=way.jobs, keep=keep, observer=observer, limits=way.limits)
    saved = sum(max(0.0, record.spec.budget_sec - record.submission_sec) for record in stopped)
    if stopped:
        _say(
            way.console,
            f"racing has stopped {len(stopped)} of {len(statuses)} trials, which saves at most {format_seconds(saved)} "
            "of submission time (what was left of their budgets)",
        )
    return RunSummary(len(statuses), len(todo), done, counts["measured"], counts["failed"], len(stopped), saved)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def prepare_data(request: Request) -> None:
    """Makes or checks each workload's data before the first trial, so that no trial waits for another's generator.

    Raises:
      WorkloadError: data is missing or damaged; tells of all workloads.
    """
    from harness.workloads import make_workload

    missing = []
    for name in request.workloads:
        workload = make_workload(name, request.scale, request.data_dir)
        try:
            for split, size in workload.base_settings.splits.items():
                if size:
                    workload.load_split(split)
        except WorkloadError as error:
            missing.append(str(error))
    if missing:
        raise WorkloadError("\n".join(dict.fromkeys(missing)))  # variants share their data


def _refuse_stale(statuses: Sequence[PlannedStatus], replace_stale: bool) -> None:
    stale = [s for s in statuses if s.status is Status.STALE]
    if stale and not replace_stale:
        first = stale[0]
        raise UsageError(
            f"{len(stale)} recorded trials were made under other conditions, the first in "
            f"{first.trial.key.folder} ({first.why}); choose another --out, or rerun them with --replace-stale"
        )


def _refuse_two_devices(frameworks: Iterable[Framework]) -> None:
    devices = {framework: device_for(framework) for framework in sorted(frameworks)}
    if len(set(devices.values())) > 1:
        found = " and ".join(f"{name} on the {device}" for name, device in devices.items())
        raise UsageError(
            f"here {found} would train, so that their times do not compare; give one --framework, install the other's "
            f"build for GPUs, or train both on the CPU with {VISIBLE}= in the environment"
        )


def _refuse_other_machine(statuses: Sequence[PlannedStatus], out: Path) -> None:
    records = [s.record for s in statuses if s.record is not None and s.status is not Status.STALE]
    spec = statuses[0].trial.task.spec
    for record in (*records, *other_records(statuses, out)):
        differs = other_class(record, spec.threads, versions(record.spec.key.framework))
        if differs:
            raise UsageError(
                f"{trial_folder(out, record.spec.key)} was run on another machine class ({differs}), so that its times "
                "do not compare with this machine's; choose another --out, or go on with --across-machines, which "
                "scales times by calibration and marks them"
            )


def set_damaged_aside(statuses: Sequence[PlannedStatus], out: Path, console: Console) -> None:
    """Renames the folders of damaged records and says so."""
    for status in statuses:
        if status.status is Status.DAMAGED:
            kept = set_aside(trial_folder(out, status.trial.key))
            _say(console, f"damaged: {status.why}; kept as {kept.name}")


def _refuse_foreign(out: Path) -> None:
    """
    Raises:
      UsageError: ``out`` is a file, or holds something and no run.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; choose a folder")
    if (out / RUN_FILE).exists() or not out.is_dir():
        return
    if any(path.name != OWN_FOLDER for path in out.iterdir()) and not any(out.glob("*/study_*")):
        raise UsageError(f"--out {out} holds other files and no {RUN_FILE}; choose an empty or new folder")


def open_folder(out: Path, request: Request, console: Console) -> None:
    """Claims a results folder for a request, or checks that it was made for one like it.

    A damaged ``run.json`` is set aside and made again from the request: whether the recorded trials fit that is told by
    their own records.

    Raises:
      UsageError: it was made for another ruleset, track, scale, seed or thread count, or by another version.
      StoreError: it cannot be written.
    """
    path = out / RUN_FILE
    recorded = _recorded_facts(path, console)
    remove_leftovers(out)
    if recorded is None:
        write_json_atomically(path, {**folder_facts(request), **_provenance()})
        return
    if difference := made_for_another(recorded, request, path):
        raise UsageError(difference)
    write_json_atomically(path, recorded)  # finds a read-only or full disk before any training


def _recorded_facts(path: Path, console: Console) -> dict[str, Any] | None:
    """What the folder was made for; None where that is not known."""
    try:
        return read_run(path.parent)
    except DamagedRecordError as error:
        kept = set_aside(path)
        _say(console, f"damaged: {error}; kept as {kept.name}")
        return None


def _provenance() -> dict[str, Any]:
    return {
        "timetrial": __version__,
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["timetrial", *sys.argv[1:]]),
        "machine": machine_facts(),
    }
