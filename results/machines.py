"""Machine classes of recorded trials: which of them may be compared on wall or CPU time.

A class is made of recorded facts that decide how fast a trial runs, not of the id that a record carries: ids of older
versions held how many cores the launcher happened to have. A fact that one of two records lacks does not part them.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from results.record import TrialRecord

KERNELS = "kernels_before_sec"
_FRAMEWORKS = ("torch", "jax", "jaxlib")


def class_facts(machine: Mapping[str, Any], threads: int, versions: Mapping[str, str]) -> dict[str, str]:
    """What a class is made of, from a record's facts about its machine: processor and instruction sets, memory, system,
    accelerators with their number and driver's major version, CUDA's, BLAS, cores and threads that a trial is given,
    and the frameworks' versions, as 2.13. Facts that were not recorded are absent. Neither timetrial's version nor how
    many cores the launcher had is among them; nor are GPUs, where the trial's ``device`` was the CPU."""
    if "cpu" not in machine:
        return {name: str(value) for name, value in machine.items() if name == "class"}
    more = machine.get("fingerprint", {})
    if machine.get("device") == "cpu":
        machine, more = {**machine, "accelerators": ()}, {**more, "cuda": ""}
    found = {
        "cpu": machine["cpu"],
        "memory_gib": machine.get("memory_gib"),
        "system": machine.get("system"),
        "accelerators": _accelerators(machine["accelerators"]) if "accelerators" in machine else None,
        "instruction_sets": " ".join(more["instruction_sets"]) if "instruction_sets" in more else None,
        "blas": more.get("blas"),
        "cuda": more.get("cuda"),
        "cores_per_trial": threads,
        **{name: ".".join(versions.get(name, "").split(".")[:2]) for name in _FRAMEWORKS},
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


def _accelerators(listed: Sequence[str]) -> str:
    """``2 x NVIDIA H100, driver 550`` from ``<name>, <driver's version>`` of each; ``none`` without any."""
    kinds: dict[str, int] = {}
    for line in listed:
        name, _, driver = str(line).partition(",")
        major = driver.strip().partition(".")[0]
        kind = f"{name.strip()}, driver {major}" if major else name.strip()
        kinds[kind] = kinds.get(kind, 0) + 1
    return "; ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items())) or "none"


@dataclasses.dataclass
class MachineClass:
    """Trials of one class: its facts, the first trial's folder, and the calibration kernels' times by kernel."""

    facts: dict[str, str]
    folder: str
    trials: int = 0
    kernels: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in sorted(self.facts.items()))

    def differs(self, facts: Mapping[str, str]) -> list[str]:
        """Names of facts that both have, with other values."""
        return [name for name, value in facts.items() if self.facts.get(name, value) != value]

    def scale_to(self, reference: MachineClass) -> float | None:
        """How many times as fast this class is as the reference: the factor from its seconds to the reference's, the
        geometric mean over kernels of the ratio of median times; None where a class has no calibration, or only one of
        them was calibrated on a GPU."""
        shared = self.kernels.keys()
        if not shared or shared != reference.kernels.keys():
            return None
        ratios = [
            statistics.median(reference.kernels[name]) / statistics.median(self.kernels[name])
            for name in sorted(shared)
        ]
        return math.exp(statistics.fmean(map(math.log, ratios)))


class MachineClasses:
    """Sorts records into classes, in the order in which they are read."""

    def __init__(self) -> None:
        self.found: list[MachineClass] = []

    def add(self, record: TrialRecord, folder: str) -> int:
        """The index of the record's class in ``found``."""
        facts = class_facts(record.machine, record.spec.threads, record.spec.versions)
        index = next((i for i, known in enumerate(self.found) if not known.differs(facts)), len(self.found))
        if index == len(self.found):
            self.found.append(MachineClass(facts, folder))
        mine = self.found[index]
        mine.facts |= facts
        mine.trials += 1
        for name, seconds in record.speed.get(KERNELS, {}).items():
            mine.kernels.setdefault(name, []).append(seconds)
        return index
