"""Batch sizes that an entry gives for the benchmark's workloads, beside the examples that these have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from harness.task import batch_size_of
from harness.workloads import workload_class, workload_names

MOST_ON_TOYS = 1024
"""A toy has 256 examples: larger batches take minutes there and show nothing more."""


def oversized(functions: Any) -> str:
    """The workload with the fewest examples whose batch at mini scale is larger than its training set; empty where
    there is none.

    Raises:
      InvalidSubmissionError: a size is not a positive integer.
    """
    found = []
    for name in workload_names():
        settings = workload_class(name).settings["mini"]
        workload: Any = SimpleNamespace(name=name, full_name=name, scale="mini", base_settings=settings)
        size, examples = batch_size_of(functions, workload), settings.splits["train"]
        if size > examples:
            found.append((examples, f"gives {size:,} for {name} at mini scale, which trains on {examples:,} examples"))
    return min(found, default=(0, ""))[1]


def smaller(functions: Any) -> Any:
    """The functions, with no larger batches than toys need."""
    whole = functions.get_batch_size

    def get_batch_size(workload_name: str) -> Any:
        size = whole(workload_name)
        return min(size, MOST_ON_TOYS) if isinstance(size, int) else size

    return SimpleNamespace(**{**vars(functions), "get_batch_size": get_batch_size})
