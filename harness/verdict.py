"""What the parent process makes of a finished trial: its own accounts of time, the verification, and the verdict.

A trial's process is not believed on its time: its parent keeps accounts of the phases between its messages, in wall
time and in CPU time as the system counts it.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from harness.checkpoint import free_writing_sec
from harness.clock import TIMED
from harness.declarations import Metric
from results.record import CPU, STEPS, WALL, StopReason, TrialSpec

TRAINING_PHASES = ("initialise", "train")
"""What a trial's process says it is doing while its clock runs, and while it sends messages."""
_OWN_PHASES = ("setup", "ask")
"""What it says while it does the harness's own work: before the entry comes, asking for its batch size in a process
that ends with the answer and importing the libraries that it names."""
LOG_SHARE, LOG_SLACK_SEC = 0.1, 1.0
"""Of the time on the clock, and seconds more: so much may messages, and looking after the entry, take off it; and as
long as the process waited for a core, which it may have done then."""
TIME_SHARE, TIME_SLACK_SEC = 0.05, 3.0
"""By how much more than the trial's own clock says its training may take by the parent's; the parent reads its clock
when it finds the time to take a message."""
UNTIMED_SHARE, UNTIMED_SLACK_SEC, MAKING_SLACK_SEC = 0.1, 1.0, 1.0
"""How much CPU time off its clock a trial's process may use until its last evaluation, as a share of that on the clock
and in seconds more: for messages, looking after the entry and saving; and in seconds for making the model, before any
function of the entry's is called. As much again as it used before the entry came is free too, which is more where the
machine is slow."""
_MAKING = "import"
GPU_START_SEC = 10.0
"""More of it where a GPU is started."""
LEDGER_SHARE, LEDGER_SLACK_SEC = 0.001, 0.02
"""By how much of itself, and by how many seconds more, one account of a trial's own may differ from another."""
PINNED = hasattr(os, "sched_setaffinity")
"""Whether a trial's process is kept to as many cores as it has threads."""
VALUE_TOLERANCE = 1e-3
"""By which share of it a verified metric may miss the target: the entry's layout may sum in another order."""


class Accounts:
    """Wall and CPU seconds of a process by phase, as its parent sees them."""

    def __init__(self, pid: int | None, starts_gpu: bool = False) -> None:
        self._pid, self._starts_gpu = pid, starts_gpu
        self.phase = "setup"
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.claimed_before: Mapping[str, float] = {}
        """Seconds by segment that other processes of the trial had spent."""
        self.cpu_before = 0.0
        """CPU seconds that they had on the clock."""
        self.cpu_until_judged = self.of_it_making = 0.0
        """CPU seconds of the process until it was stopped last, since the entry came, and before any of its functions
        was called."""
        self.free_writing_sec = 0.0
        """CPU seconds that writing checkpoints may take beyond the share that is free for all that is not training."""
        self.waited_sec = 0.0
        """For how long its main thread was ready to train and had no core, where the system tells (Linux)."""
        self._since = time.monotonic(), self._read_cpu()
        self._waited = waited_for_a_core(pid)

    def _read_cpu(self) -> float:
        """With that of children that have ended; 0 once the process is gone."""
        try:
            times = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return 0.0
        return sum(times[:4])

    def _resident(self) -> float:
        """Bytes of memory that it holds; 0 once it is gone."""
        try:
            return float(psutil.Process(self._pid).memory_info().rss)
        except psutil.Error:
            return 0.0

    def enter(self, phase: str) -> None:
        """Charges what passed since the last phase began to it."""
        now = time.monotonic(), self._read_cpu()
        cpu = max(0.0, now[1] - self._since[1])
        self.wall[self.phase] = self.wall.get(self.phase, 0.0) + now[0] - self._since[0]
        self.cpu[self.phase] = self.cpu.get(self.phase, 0.0) + cpu
        waited = waited_for_a_core(self._pid)
        if self.phase in TRAINING_PHASES:
            self.waited_sec += max(0.0, waited - self._waited)
        self.phase, self._since, self._waited = phase, now, waited

    def excuse(self, seconds: float) -> None:
        """So many of the last wall seconds are nobody's: its parent did not look, or the process was stopped."""
        wall, cpu = self._since
        self._since = min(wall + seconds, time.monotonic()), cpu

    def saves(self, size: float, every: bool) -> None:
        """Writes a checkpoint of so many bytes; not more than it holds. Later ones are so far apart that the share for
        all that is not training is enough, unless ``every`` evaluation is followed by one."""
        if every or not self.free_writing_sec:
            self.free_writing_sec += free_writing_sec(min(size, self._resident()))

    def stop(self) -> None:
        """The process stands still from here on."""
        self.enter(self.phase)
        self.cpu_until_judged = sum(spent for phase, spent in self.cpu.items() if phase not in _OWN_PHASES)
        self.of_it_making = self.cpu.get(_MAKING, 0.0)

    def go_on(self) -> None:
        """It does not any more."""
        self._since = time.monotonic(), self._read_cpu()

    def resumed(self, segments: Mapping[str, float], timed_cpu: float) -> None:
        """The process went on from another one's clock: only what passes from here on can be compared."""
        self.enter(self.phase)
        self.wall, self.cpu, self.waited_sec = {}, {"setup": self.cpu.get("setup", 0.0)}, 0.0
        self.claimed_before, self.cpu_before = segments, timed_cpu
        self.cpu_until_judged = self.of_it_making = self.free_writing_sec = 0.0

    @property
    def training_sec(self) -> float:
        return sum(self.wall.get(phase, 0.0) for phase in TRAINING_PHASES)

    def claimed_sec(self, segments: Mapping[str, float]) -> float:
        """What the trial's own clock says of the same phases."""
        spent = {name: segments.get(name, 0.0) - self.claimed_before.get(name, 0.0) for name in (*TIMED, "log")}
        timed = sum(spent[name] for name in TIMED)
        return timed + min(spent["log"], LOG_SHARE * timed + LOG_SLACK_SEC + self.waited_sec)

    @property
    def free_cpu_sec(self) -> float:
        starting = self.cpu.get("setup", 0.0) + GPU_START_SEC * self._starts_gpu
        return UNTIMED_SLACK_SEC + starting + self.free_writing_sec

    def claimed_cpu_sec(self, rows: Sequence[Mapping[str, float]]) -> float:
        """What it says of its CPU time on the clock until its last evaluation."""
        return max(0.0, rows[-1][CPU] - self.cpu_before) if rows else 0.0


def waited_for_a_core(pid: int | None) -> float:
    """Seconds that a process's main thread has been ready and had no core; 0 where the system does not tell."""
    try:
        return int(Path("/proc", str(pid), "schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@dataclasses.dataclass(frozen=True)
class Verification:
    """How the claim's verification ended: what was found, or why there is nothing (and whether that is the entry's
    doing)."""

    found: Mapping[str, float] = dataclasses.field(default_factory=dict)
    refused: str = ""
    failed: str = ""


def time_breach(accounts: Accounts, segments: Mapping[str, float]) -> str:
    """Why the trial's own clock is not to be believed; empty where it is."""
    claimed, seen = accounts.claimed_sec(segments), accounts.training_sec
    if seen <= claimed + TIME_SHARE * seen + TIME_SLACK_SEC:
        return ""
    return f"trained for {seen:.1f} s while its own clock says {claimed:.1f} s"


def untimed_breach(accounts: Accounts, rows: Sequence[Mapping[str, float]]) -> str:
    """Whether the process worked off its clock; the system counts its CPU time, and it was stopped where it is read."""
    seen, claimed = accounts.cpu_until_judged, accounts.claimed_cpu_sec(rows)
    free = claimed * (1 + UNTIMED_SHARE) + accounts.free_cpu_sec
    if seen <= free + MAKING_SLACK_SEC and seen - accounts.of_it_making <= free:
        return ""
    return f"used {seen:.1f} s of CPU time until its last evaluation, of which its own clock has {claimed:.1f} s"


def claim_breach(spec: TrialSpec, verification: Verification) -> str:
    """Why the claim does not hold; empty where it does, or where that could not be found out."""
    if verification.refused:
        return verification.refused
    value, target = verification.found.get("value"), spec.validation_target
    if value is None or target is None:
        return ""
    metric = Metric(spec.metric, spec.direction)  # type: ignore[arg-type]
    slack = VALUE_TOLERANCE * abs(target)
    if metric.reached(value, target - slack if metric.direction == "maximize" else target + slack):
        return ""
    return f"kept parameters that reach {spec.metric} {value:.6g}, not the target {target:.6g}"


def ledger_breach(spec: TrialSpec, rows: Sequence[Mapping[str, float]], outcome: Mapping[str, Any]) -> str:
    """Where a trial's evaluations, crossing and segments contradict each other; empty where they agree."""
    segments, crossing, last = outcome["segments"], outcome["crossing"], rows[-1] if rows else {}
    timed, whole = sum(segments.get(name, 0.0) for name in TIMED), sum(segments.values())
    at = [row[WALL] for row in rows if crossing and row[STEPS] == crossing["steps"]]
    ends_there = crossing and outcome["stop_reason"] is StopReason.TARGET_REACHED
    grid = spec.eval_period_steps
    contradictions = {
        "has segments that do not add up to its time": not _agree(whole, outcome["wall_sec"]),
        "has evaluations that go back in time": any(
            later[name] < earlier[name] for name in (STEPS, WALL) for earlier, later in itertools.pairwise(rows)
        ),
        "was evaluated between the steps at which it is due": grid is not None
        and any(row[STEPS] % grid for row in rows if row[STEPS] != last[STEPS]),
        "made more steps than it may": spec.max_steps is not None and outcome["steps"] > spec.max_steps,
        "used more CPU time than its cores have": PINNED
        and any(row[CPU] > (1 + LEDGER_SHARE) * spec.threads * row[WALL] + LEDGER_SLACK_SEC for row in rows),
        "was evaluated after more time than its segments have": bool(rows) and last[WALL] > timed + LEDGER_SLACK_SEC,
        "met the target at a time at which it was not evaluated": bool(crossing)
        and not any(_agree(wall, crossing["wall"]) for wall in at),
        "met the target at another time than its segments say": bool(ends_there)
        and not _agree(timed, crossing["wall"]),
    }
    return "; ".join(text for text, holds in contradictions.items() if holds)


def _agree(a: float, b: float) -> bool:
    return abs(a - b) <= LEDGER_SHARE * max(a, b) + LEDGER_SLACK_SEC


def verdict(
    spec: TrialSpec,
    breaches: list[str],
    accounts: Accounts,
    rows: Sequence[Mapping[str, float]],
    outcome: Mapping[str, Any],
    verification: Verification,
) -> tuple[str, ...]:
    """All breaches of a trial that ended in an orderly way."""
    found = [
        *breaches,
        ledger_breach(spec, rows, outcome),
        time_breach(accounts, outcome["segments"]),
        claim_breach(spec, verification),
        untimed_breach(accounts, rows),
    ]
    return tuple(text for text in found if text)
