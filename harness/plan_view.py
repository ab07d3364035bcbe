"""What ``timetrial plan`` shows, for programs and for people."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.plan import UNRECORDED, PlannedTrial, Status, other_records, plan_status, price
from harness.progress import format_seconds
from harness.reruns import due
from harness.suite import Request
from results.store import DamagedRecordError, read_run


def report_of(
    request: Request, planned: Sequence[PlannedTrial], out: Path, jobs: int, rerun_disturbed: int
) -> dict[str, Any]:
    """The plan of one ruleset's trials into a results folder, for programs; priced by what its records took."""
    statuses = plan_status(planned, out)
    again = due(statuses, out, rerun_disturbed)
    cost = price(statuses, jobs, other_records(statuses, out), again)
    counts = collections.Counter(status.status for status in statuses)
    return {
        "ruleset": request.ruleset,
        "track": request.track,
        "out": str(out),
        "jobs": jobs,
        "trials": len(statuses),
        "counts": {status.value: counts[status] for status in Status},
        "disturbed": [s.trial.key.folder for s in again],
        "expected_sec": cost.expected_sec,
        "at_most_sec": cost.at_most_sec,
        "priced_from_records": cost.known,
        "run_file": _run_file_problem(out),
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


def _run_file_problem(out: Path) -> str:
    try:
        read_run(out)
    except DamagedRecordError as error:
        return str(error)
    return ""


def plan_text(report: Mapping[str, Any]) -> str:
    """The plan of one ruleset for people."""
    counts = ", ".join(f"{count} {name}" for name, count in report["counts"].items() if count)
    lines = [f"{report['ruleset']} ruleset into {report['out']}: {report['trials']} trials ({counts})"]
    missing = sum(report["counts"][status.value] for status in UNRECORDED) + len(report["disturbed"])
    if missing:
        at_most = f"at most {format_seconds(report['at_most_sec'])} with {report['jobs']} at a time, by the budgets"
        known = report["priced_from_records"]
        about = (
            f"about {format_seconds(report['expected_sec'])} ({known} of {missing} priced from records), "
            if known
            else ""
        )
        lines.append(f"to run: {about}{at_most}")
    lines += [f"  damaged: {report['run_file']}"] if report["run_file"] else []
    lines += [f"  disturbed, to be run again: {folder}" for folder in report["disturbed"]]
    lines += [f"  {item['status']}: {item['folder']}: {item['why']}" for item in report["items"] if item["why"]]
    return "\n".join(lines)
