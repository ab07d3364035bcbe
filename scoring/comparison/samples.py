"""What a comparison is made of: the runs of one submission on one workload, one per replicate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from results.evaluations import Goal
from results.machines import MachineClasses
from results.record import STEPS, WALL, TrialRecord
from results.store import read_evaluations, read_right, read_trial
from scoring.errors import ScoringError
from scoring.machines import scales_of

K = TypeVar("K")


@dataclasses.dataclass(frozen=True)
class Run:
    """One trial, reduced to its responses.

    Attributes:
      unit: the replicate: a fold's label or ``study 3``. Units of the same name share data and seed.
      wall, steps: time to target in seconds and in steps; infinite where it was missed.
      wall_limit, steps_limit: the fixed budget: so many steps, and the seconds that they take at this run's pace (the
        budget of submission time where there is no limit on steps).
      metric: best validation value within the budget; NaN without any.
      right: which test examples the last network classifies rightly ``[n]``, or None.
      folder: where the record lies.
      record: what was read; None for a run that was not.
      scaled: how its seconds were scaled to another machine class; empty where they were not.
    """

    unit: str
    wall: float
    steps: float
    wall_limit: float
    steps_limit: float
    metric: float
    right: np.ndarray | None = None
    folder: str = ""
    record: TrialRecord | None = None
    scaled: str = ""


def read_run(folder: Path, unit: str) -> Run:
    """The run recorded in a trial's folder.

    Raises:
      StoreError: the record is missing or damaged.
    """
    record = read_trial(folder)
    spec = record.spec
    target = math.nan if spec.validation_target is None else spec.validation_target  # NaN is never reached
    goal = Goal(spec.metric, spec.direction, target)
    rows, limit = read_evaluations(folder), spec.max_steps
    hit = next((row for row in rows if goal.reached(row.get(goal.column, math.nan))), None)
    return Run(
        unit,
        wall=hit[WALL] if hit else math.inf,
        steps=hit[STEPS] if hit else math.inf,
        wall_limit=rows[-1][WALL] * limit / rows[-1][STEPS] if rows and limit else spec.budget_sec,
        steps_limit=float(limit or (rows[-1][STEPS] if rows else math.nan)),
        metric=goal.best(row.get(goal.column, math.nan) for row in rows),
        right=read_right(folder),
        folder=str(folder),
        record=record,
    )


def on_one_machine(runs: Mapping[K, Run], across_machines: bool) -> dict[K, Run]:
    """The runs as they are, or with seconds scaled to the machine class with most of them.

    Raises:
      ScoringError: runs of two machine classes, and nobody asked to compare them; or no calibration was recorded.
    """
    classes = MachineClasses()
    index = {key: classes.add(run.record, run.folder) for key, run in runs.items() if run.record is not None}
    if len(classes.found) < 2:
        return dict(runs)
    scales, said = scales_of(classes.found, across_machines, "--response steps")
    return {key: _scaled(run, scales[index[key]], said) if key in index else run for key, run in runs.items()}


def _scaled(run: Run, scale: float, said: str) -> Run:
    return dataclasses.replace(run, wall=run.wall * scale, wall_limit=run.wall_limit * scale, scaled=said)


def how_scaled(runs: Iterable[Run]) -> str:
    """How the runs' seconds were scaled; empty where none were."""
    return "; ".join(dict.fromkeys(run.scaled for run in runs if run.scaled))


@dataclasses.dataclass(frozen=True)
class Sample:
    """All runs of one submission on one workload, in the order of the units.

    Attributes:
      submission, workload: names.
      direction: ``minimize`` or ``maximize``, of the metric.
      metric_name: bare name.
      runs: one per unit.
    """

    submission: str
    workload: str
    direction: str
    metric_name: str
    runs: tuple[Run, ...]

    @property
    def units(self) -> tuple[str, ...]:
        return tuple(run.unit for run in self.runs)

    @property
    def reached(self) -> np.ndarray:
        """Whether each run met its target ``(units,)``."""
        return np.array([math.isfinite(run.wall) for run in self.runs])

    @property
    def censored(self) -> float:
        """Share of runs that missed the target."""
        return float(1 - self.reached.mean())


def check_paired(first: Sample, second: Sample) -> None:
    """Raises a ScoringError unless both samples have the same units."""
    if first.units != second.units:
        odd = sorted(set(first.units) ^ set(second.units)) or ["their order"]
        raise ScoringError(
            f"{first.submission} and {second.submission} on {first.workload} have unequal folds: they differ in "
            f"{', '.join(odd[:3])}; run what is missing"
        )
