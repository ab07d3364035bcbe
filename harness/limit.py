"""How much submission time racing leaves a trial: the command writes it into the trial's folder for checkpoints; the
trial's process reads it where it checks its budget, and stops in good order. A limit is no part of a trial's identity.
"""

from __future__ import annotations

import contextlib
import json
import math
import os

from harness.checkpoint import CheckpointPlace
from results.record import StopReason

LIMIT_FILE = "limit"
Limit = tuple[float, str]
"""Seconds of submission time, and where they come from, in words."""
NO_LIMIT: Limit = (math.inf, "")


def read_limit(place: CheckpointPlace | None) -> Limit:
    """What the command has written last; no limit where it has written none."""
    if place is None:
        return NO_LIMIT
    try:
        seconds, why = json.loads((place.folder / LIMIT_FILE).read_bytes())
    except (OSError, ValueError):
        return NO_LIMIT
    return seconds, why


class TrialLimit:
    """A trial's limit in its own process, which asks ten times a second: the file is opened when it has changed."""

    def __init__(self, place: CheckpointPlace | None) -> None:
        self._place = place
        self._path = place.folder / LIMIT_FILE if place else None
        self._seen: tuple[int, int] | None = None
        self._limit = NO_LIMIT

    def passed(self, used_sec: float, step: int) -> tuple[StopReason, str] | None:
        """Why to stop a trial that has used so much submission time without reaching its target, or None."""
        there = self._stamp()
        if there != self._seen:
            self._seen, self._limit = there, read_limit(self._place)
        limit, why = self._limit
        if used_sec <= limit:
            return None
        return StopReason.RACED, f"{used_sec:.1f} s used at step {step}, {why}"

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)  # noqa: PTH116 (os is looked after)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns


def write_limit(place: CheckpointPlace, limit: Limit) -> None:
    path = place.folder / LIMIT_FILE
    place.folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{LIMIT_FILE}-{os.getpid()}")
    temporary.write_text(json.dumps(limit))
    temporary.replace(path)


def forget_limit(place: CheckpointPlace) -> None:
    with contextlib.suppress(OSError):
        (place.folder / LIMIT_FILE).unlink(missing_ok=True)
