"""Reading ``targets.json``: what ``timetrial targets`` found, by variant and size of the training set."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.declarations import Metric, Target, WorkloadError


def targets_path(workload_name: str) -> Path:
    return Path(__file__).resolve().parent.parent / "workloads" / workload_name / "targets.json"


@functools.cache
def target_records(workload_name: str) -> Mapping[str, Any]:
    """The committed output of ``timetrial targets`` for a workload; empty when there is none."""
    path = targets_path(workload_name)
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise WorkloadError(
            f"{path}:{error.lineno}: not JSON ({error.msg}); restore it or rerun `timetrial targets`"
        ) from None


def fraction_key(train_fraction: float) -> str:
    """The key of a reduced training set's targets, for example ``0.50``."""
    return f"{train_fraction:.2f}"


def recorded_target(workload_name: str, variant: str, metric: Metric, train_fraction: float) -> Target | None:
    """Targets of a mini variant for a share of the training set; None where none are set.

    Raises:
      WorkloadError: the file is damaged, or was made for another metric.
    """
    recorded = target_records(workload_name)
    entry, where = recorded.get("variants", {}).get(variant), f"variants.{variant}"
    key = fraction_key(train_fraction)
    if entry is not None and key != fraction_key(1.0):
        entry, where = entry.get("resampled", {}).get(key), f"{where}.resampled.{key}"
    if entry is None:
        return None
    path = targets_path(workload_name)
    for name in ("name", "direction"):
        known, mine = recorded.get("metric", {}).get(name), getattr(metric, name)
        if known != mine:
            raise WorkloadError(
                f"{path}: metric.{name}: the targets were set for {known!r}, the workload declares {mine!r}; "
                f"rerun `timetrial targets {workload_name} --write`"
            )
    if not {"validation", "test"} <= entry.keys():
        raise WorkloadError(f"{path}: {where}: needs the keys validation and test; restore the file")
    return Target(entry["validation"], entry["test"])
