"""The clock: every moment of a trial belongs to exactly one named segment.

Submission time is the sum of the timed segments. The caller synchronises the device before it leaves a timed segment,
so that work cannot slip into an untimed one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from results.record import STEPS, TIMED

LOOKING = ("log", "evaluate")
"""Off the clock while an entry is trained: what runs then is little, and known."""
UNTIMED = ("setup", "calibrate", "restore", "evaluate", "checkpoint", "log")
"""Off the clock: import and data set-up before the first submission function, measuring the machine's speed, all up to
the first new step in a process that goes on from a checkpoint, evaluation, writing checkpoints, messages."""


def process_cpu_sec(
    own: Callable[[], float] = time.process_time, usage: Callable[[int], Any] = resource.getrusage
) -> float:
    """CPU seconds of this process's threads, and of its children that have ended (a compiler, for one). The functions
    are bound here, so that nobody can replace them later."""
    children = usage(resource.RUSAGE_CHILDREN)
    return own() + children.ru_utime + children.ru_stime


@dataclasses.dataclass(frozen=True)
class ClockState:
    """Seconds by segment, and CPU seconds in timed ones."""

    segments: Mapping[str, float]
    timed_cpu: float
    marks: tuple[Mapping[str, float], ...] = ()


class Clock:
    """Accumulates wall seconds by segment, and CPU seconds of the timed ones; starts in ``setup``."""

    def __init__(
        self, wall: Callable[[], float] = time.perf_counter, cpu: Callable[[], float] = process_cpu_sec
    ) -> None:
        self._read_wall, self._read_cpu = wall, cpu
        self._wall = dict.fromkeys((*TIMED, *UNTIMED), 0.0)
        self._timed_cpu = 0.0
        self.looking_cpu = 0.0
        """CPU seconds in the segments in which the harness looks after a trial, but for those that were charged."""
        self._marks: list[Mapping[str, float]] = []
        self._segment = "setup"
        self._started = self._last_wall = wall()
        self._last_cpu = cpu()

    def switch(self, segment: str) -> str:
        """Charges the time since the last switch to the current segment and enters another; returns the one left."""
        wall, left = self._read_wall(), self._segment
        self._wall[left] += wall - self._last_wall
        self._segment, self._last_wall = segment, wall
        # The CPU clock is a system call, so it is read only where kinds of segments meet.
        if _KINDS[left] != _KINDS[segment]:
            self._charge_cpu(left)
        return left

    def _charge_cpu(self, segment: str) -> None:
        cpu = self._read_cpu()
        spent, self._last_cpu = cpu - self._last_cpu, cpu
        if _KINDS[segment] == "timed":
            self._timed_cpu += spent
        elif _KINDS[segment] == "looking":
            self.looking_cpu += spent

    @contextlib.contextmanager
    def segment(self, name: str) -> Iterator[None]:
        before = self.switch(name)
        try:
            yield
        finally:
            self.switch(before)

    def submission_time(self) -> float:
        """Timed wall seconds so far."""
        self.switch(self._segment)
        return sum(self._wall[name] for name in TIMED)

    def submission_cpu_time(self) -> float:
        """Process CPU seconds of all threads in timed segments so far."""
        self._charge_cpu(self._segment)
        return self._timed_cpu

    def elapsed(self) -> float:
        """Wall seconds since the clock was made."""
        self.switch(self._segment)
        return self._last_wall - self._started

    def cpu(self) -> float:
        """CPU seconds of the process so far, on the clock or not."""
        return self._read_cpu()

    def state(self) -> ClockState:
        return ClockState(self.segments(), self.submission_cpu_time(), self.marks)

    def resume(self, state: ClockState, free_sec: float = math.inf) -> None:
        """Goes on from another process's state; what this one took so far was spent on restoring, but what it was in
        timed segments beyond ``free_sec``."""
        segments = self.segments()
        timed = sum(segments[name] for name in TIMED)
        self._wall |= state.segments
        self._wall["restore"] += sum(segments.values())
        self._marks = list(state.marks)
        self._timed_cpu, self._last_cpu = state.timed_cpu, self._read_cpu()
        self._started = self._last_wall - sum(self._wall.values())
        self.charge(timed - free_sec, "restore")

    def charge(self, seconds: float, segment: str) -> None:
        """Puts seconds of an untimed segment on the clock, if positive, as if steps had taken them."""
        self.switch(self._segment)
        moved = min(max(seconds, 0.0), self._wall[segment])
        self._wall[segment] -= moved
        self._wall["step"] += moved
        self._timed_cpu += moved

    def charge_looking_beyond(self, free_sec: float) -> None:
        """Puts CPU seconds that the harness's looks took, beyond those that are free, on the clock."""
        self._charge_cpu(self._segment)
        beyond = self.looking_cpu - free_sec
        for segment in LOOKING:
            before = self._timed_cpu
            self.charge(beyond, segment)
            moved = self._timed_cpu - before
            beyond, self.looking_cpu = beyond - moved, self.looking_cpu - moved

    def mark(self, step: int) -> None:
        """Keeps a line for the trial's timeline: the step, and the seconds spent in each segment until now."""
        spent = {name: round(seconds, 4) for name, seconds in self.segments().items() if seconds}
        self._marks.append({STEPS: step, **spent})

    @property
    def marks(self) -> tuple[Mapping[str, float], ...]:
        return tuple(self._marks)

    def segments(self) -> Mapping[str, float]:
        self.switch(self._segment)
        return dict(self._wall)


_KINDS = {**dict.fromkeys(UNTIMED, "untimed"), **dict.fromkeys(LOOKING, "looking"), **dict.fromkeys(TIMED, "timed")}
