"""Whether two results folders tell the same: everything but times and machines, to the bit."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results.record import STEPS, StopReason, TrialRecord
from results.store import find_trials, read_evaluations, read_right, read_trial

_COMPARED = ("spec", "digest", "stop_reason", "stop_detail", "steps", "batch_size")


@dataclasses.dataclass(frozen=True)
class LedgerDifference:
    """What two folders do not agree on.

    Attributes:
      trials: trials in either.
      evaluations: completed evaluations in the second.
      lost, doubled: evaluations that the first lacks, and that it holds more than once.
      differences: a line for each thing that differs, with its trial.
      cut_short: trials that a budget of time ended, which are compared as far as both went.
    """

    trials: int
    evaluations: int
    lost: int
    doubled: int
    differences: tuple[str, ...]
    cut_short: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not (self.lost or self.doubled or self.differences)


def compare_ledgers(disturbed: Path, undisturbed: Path) -> LedgerDifference:
    """Compares all trials of two results folders.

    Raises:
      StoreError: a record is missing or damaged.
    """
    ours, theirs = ({str(f.relative_to(root)): f for f in find_trials(root)} for root in (disturbed, undisturbed))
    differences = [f"{name}: recorded only in {disturbed}" for name in ours if name not in theirs]
    differences += [f"{name}: recorded only in {undisturbed}" for name in theirs if name not in ours]
    evaluations = lost = doubled = 0
    cut_short = []
    for name in sorted(ours.keys() & theirs.keys()):
        one, other = read_trial(ours[name]), read_trial(theirs[name])
        rows, other_rows = read_evaluations(ours[name]), read_evaluations(theirs[name])
        if StopReason.BUDGET_EXHAUSTED in (one.stop_reason, other.stop_reason):
            cut_short.append(name)
            length = min(len(rows), len(other_rows))
            rows, other_rows = rows[:length], other_rows[:length]
        else:
            differences += [f"{name}: {text}" for text in _record_differences(one, other)]
            if not np.array_equal(_listed(read_right(ours[name])), _listed(read_right(theirs[name]))):
                differences.append(f"{name}: which test examples are right")
        evaluations += len(other_rows)
        found, wanted = (collections.Counter(int(row[STEPS]) for row in of) for of in (rows, other_rows))
        lost += sum((wanted - found).values())
        doubled += sum((found - wanted).values())
        differences += [f"{name}: {text}" for text in _row_differences(rows, other_rows)]
    return LedgerDifference(
        len(ours.keys() | theirs.keys()), evaluations, lost, doubled, tuple(differences), tuple(cut_short)
    )


def _record_differences(one: TrialRecord, other: TrialRecord) -> Iterator[str]:
    for field in _COMPARED:
        if getattr(one, field) != getattr(other, field):
            yield f"{field}: {getattr(one, field)} and {getattr(other, field)}"
    crossings = [record.crossing.steps if record.crossing else None for record in (one, other)]
    if crossings[0] != crossings[1]:
        yield f"steps to target: {crossings[0]} and {crossings[1]}"


def _row_differences(rows: Sequence[Mapping[str, float]], others: Sequence[Mapping[str, float]]) -> Iterator[str]:
    by_step = {row[STEPS]: row for row in others}
    for row in rows:
        other = by_step.get(row[STEPS])
        if other is None:
            continue
        for name in sorted(name for name in row.keys() | other.keys() if "/" in name or name == "examples"):
            a, b = row.get(name), other.get(name)
            if a != b and not (_is_nan(a) and _is_nan(b)):
                yield f"{name} at step {row[STEPS]:.0f}: {a!r} and {b!r}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _listed(right: np.ndarray | None) -> np.ndarray:
    return np.empty(0, bool) if right is None else right
