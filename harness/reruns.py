"""Trials whose machine was disturbed are run again, a bounded number of times; every record is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from harness.plan import PlannedStatus, Status
from results.store import count_aside, set_aside, trial_folder

_ASIDE = "disturbed"


def due(statuses: Sequence[PlannedStatus], out: Path, most: int) -> list[PlannedStatus]:
    """Done trials whose machine was disturbed, and which were run again less than ``most`` times so far."""
    return [
        status
        for status in statuses
        if status.status is Status.DONE
        and status.record is not None
        and status.record.disturbed
        and count_aside(trial_folder(out, status.trial.key), _ASIDE) < most
    ]


def set_disturbed_aside(statuses: Sequence[PlannedStatus], out: Path, most: int, console: Console) -> int:
    """Renames the folders of trials that are due to be run again; returns how many."""
    found = due(statuses, out, most)
    for status in found:
        kept = set_aside(trial_folder(out, status.trial.key), _ASIDE)
        why = status.record.disturbed if status.record else ""
        console.print(
            f"disturbed: {status.trial.key.folder}: {why}; kept as {kept.name}, and run again",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip
    return len(found)
