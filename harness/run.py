"""Runs a request into a results folder: what is missing and nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from harness import __version__
from harness.errors import UsageError
from harness.launch import DEFAULT_LIMITS, Limits, run_trials
from harness.machine import machine_facts
from harness.plan import (
    EVALUATION_ALLOWANCE,
    PlannedStatus,
    PlannedTrial,
    Status,
    plan_status,
    plan_trials,
)
from harness.progress import Progress
from harness.suite import Request
from results.record import TrialRecord
from results.store import RUN_FILE, StoreError, remove_leftovers, write_json_atomically, write_trial

_FIXED = ("ruleset", "track", "scale", "seed", "threads")
"""Facts about a results folder which every run into it must share."""


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """Counts of a finished run: trials planned, run now, found done, with at least one evaluation, failed."""

    planned: int
    ran: int
    already_done: int
    measured: int
    failed: int


def run(
    request: Request,
    out: Path,
    *,
    planned: Sequence[PlannedTrial] | None = None,
    jobs: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    replace_stale: bool = False,
    retry_failed: bool = False,
    console: Console | None = None,
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
      console: where progress goes.

    Raises:
      UsageError: the request is malformed, or ``out`` belongs to another run or holds stale records.
      StoreError: ``out`` cannot be written.
    """
    console = console or Console(stderr=True)
    planned = plan_trials(request) if planned is None else planned
    open_folder(out, request)
    statuses = plan_status(planned, out)
    _refuse_stale(statuses, replace_stale)
    again = (
        {Status.MISSING} | ({Status.STALE} if replace_stale else set()) | ({Status.FAILED} if retry_failed else set())
    )
    todo = [s.trial for s in statuses if s.status in again]
    measured = sum(1 for s in statuses if s.status is Status.DONE)
    failed = sum(1 for s in statuses if s.status is Status.FAILED and s.status not in again)
    done = len(planned) - len(todo)
    if done:
        console.print(f"{done} of {len(planned)} trials are recorded in {out} already", highlight=False, soft_wrap=True)
    if todo:
        prepare_data(request)
    counts = {"measured": measured, "failed": failed}

    def keep(record: TrialRecord, evaluations: Sequence[Mapping[str, Any]], right: np.ndarray | None) -> None:
        write_trial(out, record, evaluations, right)
        counts["measured"] += bool(evaluations)
        counts["failed"] += record.stop_reason.failed

    expected: dict[tuple[str, str], float] = {
        (t.key.workload, t.key.framework): t.task.spec.budget_sec * EVALUATION_ALLOWANCE for t in reversed(todo)
    }
    with Progress(console, len(todo), jobs, expected) as progress:
        run_trials([(t.task, t.digest) for t in todo], jobs=jobs, keep=keep, observer=progress, limits=limits)
    return RunSummary(len(planned), len(todo), done, counts["measured"], counts["failed"])


def prepare_data(request: Request) -> None:
    """Makes or checks each workload's data before the first trial, so that no trial waits for another's generator.

    Raises:
      WorkloadError: the data is missing or damaged.
    """
    from harness.workloads import make_workload

    for name in request.workloads:
        workload = make_workload(name, request.scale, request.data_dir)
        for split, size in workload.base_settings.splits.items():
            if size:
                workload.load_split(split)


def _refuse_stale(statuses: Sequence[PlannedStatus], replace_stale: bool) -> None:
    stale = [s for s in statuses if s.status is Status.STALE]
    if stale and not replace_stale:
        first = stale[0]
        raise UsageError(
            f"{len(stale)} recorded trials were made under other conditions, the first in "
            f"{first.trial.key.folder} ({first.why}); choose another --out, or rerun them with --replace-stale"
        )


def open_folder(out: Path, request: Request) -> None:
    """Claims a results folder for a request, or checks that it was made for one like it.

    Raises:
      UsageError: it was made for another ruleset, track, scale, seed or thread count, or by another version.
      StoreError: it cannot be written.
    """
    path = out / RUN_FILE
    facts = {name: getattr(request, name) for name in _FIXED}
    if not path.exists():
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {out} is a file; choose a folder")
        if out.is_dir() and any(out.iterdir()) and not any(out.glob("*/study_*")):
            raise UsageError(f"--out {out} holds other files and no {RUN_FILE}; choose an empty or new folder")
        write_json_atomically(path, {**facts, **_provenance()})
        return
    try:
        recorded = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise StoreError(f"cannot read {path}: {error}; restore it, or choose another --out") from None
    for name, value in {**facts, "timetrial": __version__}.items():
        if recorded.get(name) != value:
            raise UsageError(
                f"{path}: {name}: this folder was made with {name} {recorded.get(name)!r}, this run has {value!r}; "
                f"choose another --out, or use the recorded {name}"
            )
    remove_leftovers(out)
    write_json_atomically(path, recorded)  # finds a read-only or full disk before any training


def _provenance() -> dict[str, Any]:
    return {
        "timetrial": __version__,
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["timetrial", *sys.argv[1:]]),
        "machine": machine_facts(),
    }
