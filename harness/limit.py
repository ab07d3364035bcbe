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


def raced(place: CheckpointPlace | None, used_sec: float, step: int) -> tuple[StopReason, str] | None:
    """Why to stop a trial that has used so much submission time without reaching its target, or None."""
    limit, why = read_limit(place)
    if used_sec <= limit:
        return None
    return StopReason.RACED, f"{used_sec:.1f} s used at step {step}, {why}"


def write_limit(place: CheckpointPlace, limit: Limit) -> None:
    path = place.folder / LIMIT_FILE
    place.folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{LIMIT_FILE}-{os.getpid()}")
    temporary.write_text(json.dumps(limit))
    temporary.replace(path)


def forget_limit(place: CheckpointPlace) -> None:
    with contextlib.suppress(OSError):
        (place.folder / LIMIT_FILE).unlink(missing_ok=True)
