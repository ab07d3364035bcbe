"""What a trial's process is given, and the batch size that follows from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from harness.entry import Entry, InvalidSubmissionError
from harness.spec import Workload
from results.record import TrialSpec


@dataclasses.dataclass(frozen=True)
class TrialTask:
    """What a trial's process needs beside the spec.

    Attributes:
      spec: the trial's identity.
      entry: the submission.
      data_dir: where data lies or is cached; None for the default.
      train_at_end: evaluate the head of the training split too, once training is complete.
      test_every_evaluation: evaluate the test split every time, not only at the end (for setting targets).
    """

    spec: TrialSpec
    entry: Entry
    data_dir: Path | None = None
    test_every_evaluation: bool = False
    train_at_end: bool = False


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
