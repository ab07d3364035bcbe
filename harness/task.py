"""What a trial's process is given, the batch size that follows from it, and what it gives back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoint import CheckpointPlace
from harness.entry import Entry, InvalidSubmissionError
from harness.spec import Workload
from harness.system_memory import usable_memory
from results.record import Crossing, StopReason, TrialSpec


@dataclasses.dataclass(frozen=True)
class TrialTask:
    """What a trial's process needs beside the spec.

    Attributes:
      spec: the trial's identity.
      entry: the submission.
      data_dir: where data lies or is cached; None for the default.
      train_at_end: evaluate the head of the training split too, once training is complete.
      test_every_evaluation: evaluate the test split every time, not only at the end (for setting targets).
      checkpoint: where the trial's checkpoints go; None for none.
      count_flops: count the floating-point operations of a step, off the clock.
      folder: the process's own, made and removed by the command; None where the trial runs in the caller's process.
      claim: folder for the parameters with which the target was met; None where nothing verifies them.
      memory_bytes: how large a file of the process's own may be; None for no limit.
    """

    spec: TrialSpec
    entry: Entry
    data_dir: Path | None = None
    test_every_evaluation: bool = False
    train_at_end: bool = False
    checkpoint: CheckpointPlace | None = None
    count_flops: bool = False
    folder: Path | None = None
    claim: Path | None = None
    memory_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a trial ended, as far as its own process can tell; the fields are those of the record. ``right`` says which
    test examples the last evaluated network classifies rightly ``[n]``, where the workload knows that. ``device`` is
    what it trained on: a GPU's name, or ``cpu``."""

    stop_reason: StopReason
    stop_detail: str
    steps: int
    batch_size: int
    crossing: Crossing | None
    segments: Mapping[str, float]
    wall_sec: float
    peak_memory_bytes: int
    preemptions: int = 0
    notes: tuple[str, ...] = ()
    timeline: tuple[Mapping[str, float], ...] = ()
    flops_per_step: float | None = None
    right: np.ndarray | None = None
    isolation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    device: str = "cpu"


def batch_size_of(functions: Any, workload: Workload) -> int:
    """The submission's batch size for a workload.

    At mini scale it is asked for ``<workload>_mini``; AlgoPerf's entries do not know that name, and their sizes are
    meant for eight accelerators, so the workload's own mini size is used then. At full scale the variant's name is
    tried before the base's, as AlgoPerf does.

    Raises:
      InvalidSubmissionError: the size is not a positive integer.
    """
    suffix = "" if workload.scale == "full" else f"_{workload.scale}"
    for name in dict.fromkeys((f"{workload.full_name}{suffix}", f"{workload.name}{suffix}")):
        try:
            size = functions.get_batch_size(name)
        except (ValueError, KeyError, NameError):  # the last: a chain of ifs that sets nothing for an unknown name
            continue
        if size is None:
            continue
        if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
            raise InvalidSubmissionError(f"get_batch_size({name!r}) returned {size!r}; return a positive integer")
        return size
    return workload.base_settings.batch_size


def refuse_batches_beyond_memory(batch_size: int, arrays: Mapping[str, np.ndarray]) -> None:
    """
    Raises:
      InvalidSubmissionError: a batch of so many of the training examples takes more memory than the machine has.
    """
    held = sum(getattr(array, "nbytes", 0) for array in arrays.values())  # what is decoded when it is drawn tells none
    needed = batch_size * held / len(arrays["targets"])
    available = usable_memory()
    if needed > available:
        raise InvalidSubmissionError(
            f"get_batch_size returned {batch_size:,}: so many of this workload's examples take "
            f"{needed / 2**30:,.0f} GiB, and this machine has {available / 2**30:,.0f}; return less"
        )
