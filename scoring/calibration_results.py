"""Recorded trials to the times that a calibration is computed from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from results.irregularities import Irregularities
from results.machines import MachineClasses
from results.places import Place
from results.reader import Table, Trial, WorkloadFacts, read_place, recorded_goal
from results.record import TrialKey
from results.store import read_trial
from scoring.anchor import stand_in
from scoring.benchmark import of_own_runs
from scoring.calibration import Times
from scoring.cells import Field, build_field
from scoring.errors import ScoringError
from scoring.machines import on_one_machine

REFERENCE = "reference"


def read_times(
    candidates: Mapping[TrialKey, Path],
    reference: Mapping[TrialKey, Path],
    clock: str,
    across_machines: bool = False,
) -> tuple[Times, tuple[str, ...]]:
    """Times of all points and of the reference, and notes on what was odd.

    Args:
      candidates: folders of the entry's trials; trial n is point n, on every workload and in every study.
      reference: folders of the reference's trials, in the same studies and on the same workloads.
      clock: ``wall``, ``cpu`` or ``steps``.
      across_machines: compare trials of two machine classes, their times scaled by calibration; else that is an error.

    Raises:
      StoreError: a record is missing or damaged.
      ScoringError: the trials differ in their workloads' targets or budgets, do not record the clock, or are of two
        machine classes.
    """
    named = {key: (f"point {key.trial}", folder) for key, folder in candidates.items()}
    table = _table(named, {key: (REFERENCE, folder) for key, folder in reference.items()})
    table = on_one_machine(table, clock, across_machines)
    field = build_field(table, benchmark := of_own_runs(table), clock=clock)
    names = [f"point {n}" for n in sorted({key.trial for key in candidates})]
    numbers = sorted({key.study for key in candidates})
    columns = [stand_in(_study(field, number), benchmark, REFERENCE) for number in numbers]
    times = Times(
        field.layout,
        np.array([_rows(field, name) for name in names]),
        np.array(_rows(field, REFERENCE)),
        np.array(columns).T,
    )
    odd = [f"{i.submission} on {i.workload}: {i.message}" for i in table.irregularities.as_tuple()]
    return times, (*odd, *table.shared.values())


def _rows(field: Field, submission: str) -> list[np.ndarray]:
    return [field.times(submission, workload) for workload in field.layout.workloads]


def _study(field: Field, number: int) -> Field:
    """The field of one study alone, so that what stands in for a miss comes from no other."""
    cells = {cell: tuple(s for s in studies if s.study == number) for cell, studies in field.cells.items()}
    return dataclasses.replace(field, cells=cells)


def _table(*groups: Mapping[TrialKey, tuple[str, Path]]) -> Table:
    """One table of trials under other names, points as submissions of one trial each."""
    odd, trials, machines = Irregularities(), [], MachineClasses()
    facts: dict[str, WorkloadFacts] = {}
    for key, (name, folder) in ((key, value) for group in groups for key, value in group.items()):
        record = read_trial(folder)
        goal, spec = recorded_goal(record), record.spec
        mine = WorkloadFacts(goal, spec.base_workload, spec.variant, spec.workload_version)
        if facts.setdefault(key.workload, mine) != mine:
            raise ScoringError(f"{folder}: {mine} and {facts[key.workload]} do not compare; choose another --out")
        place = Place(name, key.workload, key.framework, key.study, key.trial, folder)
        trial = read_place(place, goal, record, odd)
        trials.append(dataclasses.replace(trial, machine=machines.add(record, str(folder))))
    trials.sort(key=_order)
    goals = {name: found.goal for name, found in facts.items()}
    return Table(tuple(trials), goals, facts, {}, {}, odd, tuple(machines.found))


def _order(trial: Trial) -> tuple[str, str, int, int]:
    return trial.submission, trial.workload, trial.study, trial.trial
