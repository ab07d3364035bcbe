"""Disturbs its own trials at random while they run, and shows that the results are those of an undisturbed run."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from rich.console import Console

from harness.launch import DEFAULT_LIMITS, Limits, Observer
from harness.plan import plan_trials
from harness.run import RunSummary, run
from harness.running import RunningTrial
from harness.suite import Request
from results.ledger import LedgerDifference, compare_ledgers
from results.record import TrialRecord

BUDGET_FACTOR = 20.0
"""Frozen and starved trials need more time; a budget that ends one at another step would hide what is to be shown."""
KILLS_IN_A_ROW = 4
"""So often a trial is killed without a new checkpoint; then it is left alone until it has got further."""
FREEZE_SEC, STARVE_SEC = (0.05, 0.8), (0.2, 1.5)
ACTIONS = ("kill", "kill", "freeze", "starve")
"""Drawn from with equal chances: half of the disturbances are kills."""
_BUSY = "while True: pass"


@dataclasses.dataclass(frozen=True)
class ChaosReport:
    """What was done to the trials, what came of it, and whether the two ledgers are equal."""

    kills: int
    freezes: int
    starvations: int
    disturbed: RunSummary
    undisturbed: RunSummary
    difference: LedgerDifference

    @property
    def text(self) -> str:
        found = self.difference
        end = "the same records" if found.equal else "OTHER RECORDS"
        lost = f"of {found.evaluations} evaluations {found.lost} lost, {found.doubled} doubled"
        done = f"{self.kills} kills, {self.freezes} freezes, {self.starvations} starvations over {found.trials} trials"
        return f"{done}: {lost}, {end} as undisturbed"


class Chaos:
    """An observer of trials (see :class:`harness.launch.Observer`) with a thread that disturbs them.

    Args:
      inner: is told everything.
      seed: of what is done when; which trial it meets depends on the machine's speed as well.
      every_sec: mean time between two disturbances.
      most_kills: after so many kills there are no more; None for no limit.
    """

    def __init__(self, inner: Observer, seed: int, every_sec: float, most_kills: int | None = None) -> None:
        self.inner, self.every_sec, self.most_kills = inner, every_sec, most_kills
        self.counts: collections.Counter[str] = collections.Counter()
        self._random = random.Random(seed)
        self._running: list[tuple[RunningTrial, psutil.Process]] = []
        self._spared: dict[str, tuple[int | None, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chaos", daemon=True)

    # ---- what the observer is told ----

    def update(self, running: Sequence[RunningTrial], waiting: Sequence[tuple[str, str]]) -> None:
        known = {id(trial): process for trial, process in self._running}
        found = []
        for trial in running:
            with contextlib.suppress(psutil.Error):  # psutil tells a process from a later one with the same number
                found.append((trial, known.get(id(trial)) or psutil.Process(trial.process.pid)))
        self._running = found
        self.inner.update(running, waiting)

    def finished(self, record: TrialRecord) -> None:
        self.inner.finished(record)

    # ---- disturbing ----

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(self._random.expovariate(1 / self.every_sec)):
            action = self._random.choice(ACTIONS)
            share, length = self._random.random(), self._random.random()
            running = self._running
            if not running:
                continue
            trial, process = running[int(share * len(running))]
            with contextlib.suppress(psutil.Error):
                getattr(self, f"_{action}")(trial, process, length)

    def _kill(self, trial: RunningTrial, process: psutil.Process, length: float) -> None:
        place = trial.task.checkpoint
        assert place is not None
        version = place.version()
        seen, times = self._spared.get(trial.digest, (None, 0))
        times = times + 1 if seen == version else 1
        enough = self.most_kills is not None and self.counts["kill"] >= self.most_kills
        if times > KILLS_IN_A_ROW or enough or trial.excused or trial.finished:
            return
        trial.excused = True
        process.kill()
        self._spared[trial.digest] = (version, times)
        self.counts["kill"] += 1

    def _freeze(self, trial: RunningTrial, process: psutil.Process, length: float) -> None:
        process.suspend()
        self.counts["freeze"] += 1
        try:
            time.sleep(_between(FREEZE_SEC, length))
        finally:
            process.resume()

    def _starve(self, trial: RunningTrial, process: psutil.Process, length: float) -> None:
        """A process that wants the trial's core for itself."""
        busy = subprocess.Popen([sys.executable, "-S", "-c", _BUSY])
        try:
            with contextlib.suppress(AttributeError):  # not on every system
                psutil.Process(busy.pid).cpu_affinity(list(trial.slot.cores))
            self.counts["starve"] += 1
            time.sleep(_between(STARVE_SEC, length))
        finally:
            busy.kill()
            busy.wait()


def _between(bounds: tuple[float, float], share: float) -> float:
    low, high = bounds
    return low + share * (high - low)


def run_with_chaos(
    request: Request,
    out: Path,
    *,
    seed: int = 0,
    every_sec: float = 2.0,
    most_kills: int | None = None,
    jobs: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    console: Console | None = None,
) -> ChaosReport:
    """Runs a request twice, disturbed into ``out`` and undisturbed into ``<out>-undisturbed``, and compares the two.

    Budgets are :data:`BUDGET_FACTOR` times as long in both, and every evaluation is followed by a checkpoint.

    Raises:
      UsageError, StoreError: as :func:`harness.run.run`.
    """
    planned = plan_trials(request)
    budget = BUDGET_FACTOR * max(trial.task.spec.budget_sec for trial in planned)
    request = dataclasses.replace(request, budget_sec=budget)
    common: dict[str, Any] = {"jobs": jobs, "limits": limits, "console": console, "checkpoint_every": 0.0}
    made: list[Chaos] = []

    @contextlib.contextmanager
    def disturb(observer: Observer) -> Iterator[Observer]:
        with Chaos(observer, seed, every_sec, most_kills) as chaos:
            made.append(chaos)
            yield chaos

    disturbed = run(request, out, watched_by=disturb, **common)
    undisturbed_out = out.with_name(f"{out.name}-undisturbed")
    undisturbed = run(request, undisturbed_out, **common)
    counts = made[0].counts if made else collections.Counter()
    return ChaosReport(
        counts["kill"],
        counts["freeze"],
        counts["starve"],
        disturbed,
        undisturbed,
        compare_ledgers(out, undisturbed_out),
    )
