"""What ``timetrial plan`` shows, for programs and for people."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.plan import UNRECORDED, PlannedTrial, Status, made_for_another, other_records, plan_status, price
from harness.progress import format_seconds
from harness.reruns import due
from harness.suite import Request
from results.store import RUN_FILE, DamagedRecordError, read_run


def report_of(
    request: Request,
    planned: Sequence[PlannedTrial],
    out: Path,
    jobs: int,
    rerun_disturbed: int,
    repeats: frozenset[Status] = frozenset(),
) -> dict[str, Any]:
    """The plan of one ruleset's trials into a results folder, for programs; priced by what its records took.

    ``repeats`` are what the run would replace (stale trials) or try again (failed ones); ``refused`` says why it would
    not start at all.
    """
    statuses = plan_status(planned, out)
    again = due(statuses, out, rerun_disturbed)
    cost = price(statuses, jobs, other_records(statuses, out), [*again, *(s for s in statuses if s.status in repeats)])
    counts = collections.Counter(status.status for status in statuses)
    return {
        "ruleset": request.ruleset,
        "track": request.track,
        "out": str(out),
        "jobs": jobs,
        "trials": len(statuses),
        "counts": {status.value: counts[status] for status in Status},
        "disturbed": [s.trial.key.folder for s in again],
        "repeated": sum(counts[status] for status in repeats),
        "needs_replace_stale": bool(counts[Status.STALE]) and Status.STALE not in repeats,
        "expected_sec": cost.expected_sec,
        "at_most_sec": cost.at_most_sec,
        "priced_from_records": cost.known,
        **_run_file(out, request),
        "items": [
            {
                "folder": status.trial.key.folder,
                "status": status.status.value,
                "why": status.why,
                "hyperparameters": status.trial.task.spec.hyperparameters,
            }
            for status in statuses
        ],
    }


def _run_file(out: Path, request: Request) -> dict[str, str]:
    """How the folder's run file is damaged, and why it is not for this request; empty where nothing is wrong."""
    try:
        recorded = read_run(out)
    except DamagedRecordError as error:
        return {"run_file": str(error), "refused": ""}
    return {
        "run_file": "",
        "refused": "" if recorded is None else made_for_another(recorded, request, out / RUN_FILE),
    }


def plan_text(report: Mapping[str, Any]) -> str:
    """The plan of one ruleset for people."""
    counts = ", ".join(f"{count} {name}" for name, count in report["counts"].items() if count)
    lines = [f"{report['ruleset']} ruleset into {report['out']}: {report['trials']} trials ({counts})"]
    missing = sum(report["counts"][status.value] for status in UNRECORDED) + len(report["disturbed"])
    missing += report["repeated"]
    if report["refused"]:
        lines.append(f"  a run would be refused: {report['refused']}")
    elif missing:
        at_most = f"at most {format_seconds(report['at_most_sec'])} with {report['jobs']} at a time, by the budgets"
        known = report["priced_from_records"]
        about = (
            f"about {format_seconds(report['expected_sec'])} ({known} of {missing} priced from records), "
            if known
            else ""
        )
        lines.append(f"to run: {about}{at_most}")
    if report["needs_replace_stale"] and not report["refused"]:
        lines.append("  a run would be refused without --replace-stale, with which plan prices it")
    lines += [f"  damaged: {report['run_file']}"] if report["run_file"] else []
    lines += [f"  disturbed, to be run again: {folder}" for folder in report["disturbed"]]
    lines += [f"  {item['status']}: {item['folder']}: {item['why']}" for item in report["items"] if item["why"]]
    return "\n".join(lines)
