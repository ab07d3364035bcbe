"""Run folders and logs made without training, for benchmarks and tests of what reads them.

An outcome is what one trial does: a time to target in seconds (infinity for a miss), or a list of (seconds, metric)
pairs. Outcomes are nested as submission -> workload -> study -> trial.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from results.evaluations import Goal
from results.record import CPU, FRAMEWORK_SUFFIX, STEPS, WALL, Crossing, StopReason, TrialKey, TrialRecord, TrialSpec
from results.store import EVALUATIONS_FILE, HPARAMS_FILE, write_trial

Outcome = float | Sequence[tuple[float, float]]
Outcomes = Mapping[str, Mapping[str, Sequence[Sequence[Outcome]]]]

STEPS_PER_SECOND = 10
DEFAULT_GOAL = Goal("accuracy", "maximize", 0.9, 100.0)


def evaluations(outcome: Outcome, goal: Goal = DEFAULT_GOAL) -> list[dict[str, float]]:
    """Rows of ``eval_measurements.csv`` for an outcome; the second of two evaluations meets the target at its time."""
    gain = 0.05 * abs(goal.target) * (1 if goal.direction == "maximize" else -1)
    if isinstance(outcome, (int, float)):
        end = outcome if math.isfinite(outcome) else (goal.budget_sec or 100.0)
        curve = [(end / 2, goal.target - 2 * gain), (end, goal.target + (gain if math.isfinite(outcome) else -gain))]
    else:
        curve = list(outcome)
    return [
        {
            STEPS: round(STEPS_PER_SECOND * seconds),
            WALL: seconds,
            CPU: 0.9 * seconds,
            "accumulated_eval_time": 0.1 * seconds,
            "accumulated_logging_time": 0.0,
            "total_duration": 1.2 * seconds,
            "score": seconds,
            "preemption_count": 0,
            "examples": 320 * seconds,
            goal.column: value,
        }
        for seconds, value in curve
    ]


def record(
    key: TrialKey, rows: Sequence[Mapping[str, float]], goal: Goal = DEFAULT_GOAL, **changes: Any
) -> TrialRecord:
    """A record that agrees with the rows; ``changes`` replace fields of its spec."""
    hit = next((i for i, row in enumerate(rows) if goal.reached(row[goal.column])), None)
    before = rows[hit - 1] if hit else {WALL: 0.0, CPU: 0.0, STEPS: 0}
    end = rows[-1] if rows else {WALL: 0.0, STEPS: 0}
    spec = TrialSpec(
        key=key,
        base_workload=key.workload,
        variant="base",
        scale="mini",
        workload_version=1,
        ruleset="external",
        track="algoperf",
        hyperparameters={"learning_rate": 10.0**-key.trial},
        seed=key.study,
        entry_digest="0" * 16,
        metric=goal.metric,
        direction=goal.direction,
        validation_target=goal.target,
        test_target=None,
        budget_sec=goal.budget_sec or 100.0,
        max_steps=None,
        step_hint=1000,
        eval_period_sec=1.0,
        eval_period_steps=None,
        threads=1,
        versions={"timetrial": "0", "python": "3", key.framework: "1"},
    )
    return TrialRecord(
        spec=dataclasses.replace(spec, **changes),
        digest="0" * 16,
        stop_reason=StopReason.BUDGET_EXHAUSTED if hit is None else StopReason.TARGET_REACHED,
        stop_detail="budget spent" if hit is None else "",
        steps=int(end[STEPS]),
        crossing=None if hit is None else _crossing(rows[hit], before),
        batch_size=32,
        segments={"step": end[WALL], "evaluate": 0.1},
        wall_sec=end[WALL] + 0.1,
        peak_memory_bytes=1 << 20,
        machine={"class": "synthetic"},
        started_at="2026-01-01T00:00:00+00:00",
    )


def _crossing(at: Mapping[str, float], before: Mapping[str, float]) -> Crossing:
    return Crossing(at[WALL], at[CPU], int(at[STEPS]), before[WALL], before[CPU], int(before[STEPS]))


def write_runs(root: Path, outcomes: Outcomes, goals: Mapping[str, Goal] | None = None, **changes: Any) -> Path:
    """timetrial's run folders, numbered from 1; ``changes`` replace fields of every spec."""
    for submission, workload, study, trial, outcome in _flat(outcomes):
        goal = (goals or {}).get(workload, DEFAULT_GOAL)
        rows = evaluations(outcome, goal)
        key = TrialKey(submission, workload, "torch", study, trial)
        write_trial(root, record(key, rows, goal, **changes), rows)
    return root


def write_logs(root: Path, outcomes: Outcomes, goals: Mapping[str, Goal], framework: str = "jax") -> Path:
    """AlgoPerf's log folders: evaluations and hyperparameters, no record."""
    for submission, workload, study, trial, outcome in _flat(outcomes):
        folder = root / submission / f"study_{study}" / f"{workload}_{FRAMEWORK_SUFFIX[framework]}" / f"trial_{trial}"
        folder.mkdir(parents=True)
        rows = evaluations(outcome, goals[workload])
        with (folder / EVALUATIONS_FILE).open("w", newline="") as file:
            writer = csv.DictWriter(
                file, [name for name in rows[0] if name not in (CPU, "examples")], extrasaction="ignore"
            )
            writer.writeheader()
            writer.writerows(rows)
        (folder / HPARAMS_FILE).write_text(json.dumps({"learning_rate": 10.0**-trial}))
    return root


def _flat(outcomes: Outcomes) -> Any:
    for submission, workloads in outcomes.items():
        for workload, studies in workloads.items():
            for study, trials in enumerate(studies, start=1):
                for trial, outcome in enumerate(trials, start=1):
                    yield submission, workload, study, trial, outcome
