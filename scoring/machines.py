"""Times of two machine classes are not compared unless that is asked for, and then scaled by calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from results.machines import MachineClass
from results.reader import Table, Trial
from scoring.errors import ScoringError


def on_one_machine(table: Table, clock: str, across_machines: bool) -> Table:
    """The table itself, or with the times of all classes scaled to the one with most trials.

    Steps are the same on all machines, and times are compared within a workload alone. A scaled table has a line
    ``scaled`` in ``shared`` that says how it was done.

    Raises:
      ScoringError: trials of two classes on one workload, and nobody asked to compare them; or one has no calibration.
    """
    mixed = table.machines if across_machines else _met_on_a_workload(table)
    if len(mixed) < 2 or clock == "steps":
        return table
    scales, said = scales_of(mixed, across_machines, "--clock steps")
    trials = tuple(t if t.machine is None else _scaled(t, scales[t.machine]) for t in table.trials)
    return dataclasses.replace(table, trials=trials, shared={**table.shared, "scaled": said})


def _met_on_a_workload(table: Table) -> Sequence[MachineClass]:
    """The classes of the first workload that has trials of more than one; empty where there is none."""
    found: dict[str, set[int]] = {}
    for trial in table.trials:
        if trial.machine is not None:
            found.setdefault(trial.workload, set()).add(trial.machine)
    met = next((classes for classes in found.values() if len(classes) > 1), ())
    return [table.machines[i] for i in sorted(met)]


def scales_of(classes: Sequence[MachineClass], across_machines: bool, steps: str) -> tuple[list[float], str]:
    """Factors that make each class's times those of the class with most trials, and what was done in words.

    Args:
      classes: at least two.
      across_machines: whether that was asked for.
      steps: the option that compares steps instead.

    Raises:
      ScoringError: nobody asked for it, or a class has no calibration.
    """
    reference = max(classes, key=lambda found: found.trials)
    other = next(found for found in classes if found is not reference)
    if not across_machines:
        parts = ", ".join(reference.differs(other.facts))
        raise ScoringError(
            f"trials of two machine classes: {reference.text} in {reference.folder}, and {other.text} in "
            f"{other.folder} (they differ in {parts}); compare them apart, on {steps}, or scaled by calibration "
            "with --across-machines"
        )
    scales = [_scale(found, reference, steps) for found in classes]
    said = "; ".join(
        f"{found.trials} trials by {scale:.3g} from {found.text}"
        for found, scale in zip(classes, scales, strict=True)
        if found is not reference
    )
    return scales, f"times scaled by calibration to {reference.text}: {said}"


def _scale(found: MachineClass, reference: MachineClass, steps: str) -> float:
    scale = 1.0 if found is reference else found.scale_to(reference)
    if scale is None:
        lacking = min((found, reference), key=lambda c: len(c.kernels))
        without = " on a GPU, as others here have" if lacking.kernels else ""
        raise ScoringError(
            f"the trials in {lacking.folder} have no calibration{without} ({lacking.text}), so that their times cannot "
            f"be scaled; compare on {steps}, or run them again on such a machine with this version"
        )
    return scale


def _scaled(trial: Trial, scale: float) -> Trial:
    hit = trial.hit
    if hit is not None:
        hit = dataclasses.replace(
            hit,
            wall=hit.wall * scale,
            cpu=hit.cpu * scale,
            previous_wall=hit.previous_wall * scale,
            previous_cpu=hit.previous_cpu * scale,
        )
    changes = {name: getattr(trial, name) * scale for name in ("wall", "cpu", "used")}
    return dataclasses.replace(trial, hit=hit, scale=scale, **changes)
