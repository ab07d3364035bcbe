"""What a person sees while trials run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.running import RunningTrial
from results.record import StopReason, TrialKey, TrialRecord


def format_seconds(seconds: float) -> str:
    """``8.4 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def replicate(key: TrialKey) -> str:
    """The repetition that a trial belongs to: a fold of a resampling plan, else a study."""
    return key.fold or f"study {key.study}"


def trial_line(record: TrialRecord) -> str:
    """One line on a finished trial: where, why it stopped, what it took."""
    key = record.spec.key
    where = f"{key.submission}  {key.workload}/{key.framework}  {replicate(key)} trial {key.trial}"
    if record.crossing is not None:
        return f"{where}: target reached in {format_seconds(record.crossing.wall)} ({record.crossing.steps} steps)"
    return f"{where}: {record.stop_reason.replace('_', ' ')} ({record.stop_detail})"


class Progress:
    """Follows a run of ``total`` trials; ``expected_sec`` prices those not yet finished."""

    def __init__(self, console: Console, total: int, jobs: int, expected: Mapping[tuple[str, str], float]) -> None:
        self._console, self._total, self._jobs = console, total, jobs
        self._expected = dict(expected)
        self._done = 0
        self._spent: dict[tuple[str, str], list[float]] = {}
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def finished(self, record: TrialRecord) -> None:
        self._done += 1
        group = (record.spec.key.workload, record.spec.key.framework)
        self._spent.setdefault(group, []).append(record.wall_sec)
        style = "red" if record.stop_reason in _LOUD else None
        self._console.print(
            f"[{self._done}/{self._total}] {trial_line(record)}",
            style=style,
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def update(self, running: Sequence[RunningTrial], waiting: Sequence[tuple[str, str]]) -> None:
        if self._live:
            self._live.update(self._table(running, waiting))

    def remaining_sec(self, running: Sequence[RunningTrial], waiting: Sequence[tuple[str, str]]) -> float:
        """Expected wall seconds until the end, from finished trials of the same workload or from the plan's price."""
        now = time.monotonic()
        left = sum(self._estimate(group) for group in waiting)
        left += sum(max(0.0, self._estimate(_group(r)) - (now - r.started)) for r in running)
        return left / self._jobs

    def _estimate(self, group: tuple[str, str]) -> float:
        spent = self._spent.get(group)
        return sum(spent) / len(spent) if spent else self._expected.get(group, 0.0)

    def _table(self, running: Sequence[RunningTrial], waiting: Sequence[tuple[str, str]]) -> Table:
        left = format_seconds(self.remaining_sec(running, waiting))
        spent = format_seconds(time.monotonic() - self._started)
        table = Table(
            title=f"{self._done} of {self._total} trials, {spent} gone, about {left} left", title_justify="left"
        )
        for name in ("submission", "workload", "part, trial", "phase", "step", "metric / target", "time / budget"):
            table.add_column(name, justify="right" if name in ("step", "metric / target", "time / budget") else "left")
        for trial in running:
            spec = trial.task.spec
            metric = "-" if trial.metric is None else f"{trial.metric:.4g}"
            target = "-" if spec.validation_target is None else f"{spec.validation_target:.4g}"
            table.add_row(
                spec.key.submission,
                f"{spec.key.workload}/{spec.key.framework}",
                f"{replicate(spec.key)}, {spec.key.trial}",
                trial.phase,
                f"{trial.step}/{spec.step_hint}",
                f"{spec.metric} {metric} / {target}",
                f"{trial.submission_time:.0f} / {spec.budget_sec:.0f} s",
            )
        return table


def _group(trial: RunningTrial) -> tuple[str, str]:
    return trial.task.spec.key.workload, trial.task.spec.key.framework


_LOUD = frozenset(reason for reason in StopReason if reason.failed)
