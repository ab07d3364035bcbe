"""Evaluation files: the columns that matter, read fast and without trusting them, and the first hit of a target."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from results.record import CLOCKS, CPU, STEPS, WALL
from results.store import EVALUATIONS_FILE


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a workload must reach: bare metric name, its direction, the validation target, and the budget in seconds
    of submission time (None: unlimited)."""

    metric: str
    direction: str
    target: float
    budget_sec: float | None = None

    @property
    def column(self) -> str:
        return f"validation/{self.metric}"

    def reached(self, value: float) -> bool:
        """Equality counts, as in AlgoPerf's scoring; NaN never does."""
        return value <= self.target if self.direction == "minimize" else value >= self.target

    def best(self, values: Iterable[float]) -> float:
        """The best of the values, NaN where there is none."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return math.nan
        return min(known) if self.direction == "minimize" else max(known)


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """The first evaluation (``index`` counts from 0) that met the target, and the clocks at the one before it.
    Seconds, CPU seconds (NaN where not recorded) and steps."""

    index: int
    wall: float
    cpu: float
    steps: float
    previous_wall: float
    previous_cpu: float
    previous_steps: float

    def on(self, clock: str) -> float:
        return getattr(self, clock)

    def before(self, clock: str) -> float:
        return getattr(self, f"previous_{clock}")


def read_columns(path: Path, wanted: Sequence[str]) -> tuple[dict[str, list[float]], list[str]]:
    """Columns of an evaluation file, rows in the order of steps; empty cells become NaN.

    Wanted columns that the file lacks are absent from the result. A line that is cut short or holds no number where one
    belongs is dropped.

    Returns:
      The columns, and a complaint for every dropped or doubtful line.
    """
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    header = next(csv.reader(lines[:1]), [])
    position = {name: header.index(name) for name in wanted if name in header}
    picks = list(position.values())
    table, complaints = _table(lines[1:], picks, len(header))
    if len(table) and not lines[-1].endswith("\n") and not complaints:
        complaints.append("the last line has no line end and may be cut short; kept")
    if STEPS in position:
        steps = table[:, list(position).index(STEPS)]
        if (np.diff(steps) < 0).any():
            table = table[np.argsort(steps, kind="stable")]
    return dict(zip(position, table.T.tolist(), strict=True)), complaints


def _table(lines: Sequence[str], picks: Sequence[int], width: int) -> tuple[np.ndarray, list[str]]:
    whole = _whole_table(lines, picks, width)
    return (whole, []) if whole is not None else _line_by_line(lines, picks, width)


def _whole_table(lines: Sequence[str], picks: Sequence[int], width: int) -> np.ndarray | None:
    """Picked columns of well-formed lines, ``(rows, picks)``; None where something is amiss. Fast."""
    if not lines or not picks or any(line.count(",") != width - 1 for line in lines):
        return None
    try:
        return np.loadtxt(lines, delimiter=",", usecols=picks, ndmin=2, comments=None)
    except ValueError:
        return None


def _line_by_line(lines: Sequence[str], picks: Sequence[int], width: int) -> tuple[np.ndarray, list[str]]:
    """The same for any lines: empty cells are NaN, unusable lines are dropped with a complaint."""
    rows, complaints = [], []
    for number, line in enumerate(csv.reader(lines), start=2):
        if not line:
            continue
        try:
            if len(line) != width:
                raise ValueError
            rows.append([float(line[i]) if line[i] else math.nan for i in picks])
        except ValueError:
            complaints.append(f"line {number} is cut short or not numeric; dropped")
    return np.array(rows).reshape(len(rows), len(picks)), complaints


def find_hit(columns: Mapping[str, Sequence[float]], goal: Goal) -> Hit | None:
    """The first evaluation that meets the goal."""
    index = next((i for i, value in enumerate(columns[goal.column]) if goal.reached(value)), None)
    if index is None:
        return None
    at = {name: columns[name][index] if name in columns else math.nan for name in CLOCKS.values()}
    before = {name: columns[name][index - 1] if name in columns and index else 0.0 for name in CLOCKS.values()}
    return Hit(index, at[WALL], at[CPU], at[STEPS], before[WALL], before[CPU], before[STEPS])


def read_curve(folder: Path, goal: Goal) -> tuple[list[float], list[float], list[float]]:
    """Submission time, steps and metric of a trial's evaluations, in the order of steps; empty where there are none."""
    try:
        columns, _ = read_columns(folder / EVALUATIONS_FILE, [WALL, STEPS, goal.column])
    except FileNotFoundError:
        return [], [], []
    if not {WALL, STEPS, goal.column} <= set(columns):
        return [], [], []
    return columns[WALL], columns[STEPS], columns[goal.column]
