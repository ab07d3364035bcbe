"""The workload as an entry sees it: AlgoPerf's attributes and methods, to be read; nothing by which to tell which
workload it is, and no way to its data but the input queue."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from harness.spec import Workload

IDENTITY: frozenset[str] = frozenset(
    {"name", "full_name", "variant", "variants", "version", "summary", "data_dir", "scale", "base_settings", "settings"}
)
"""Attributes of the workload that say which one it is."""
DATA = frozenset({"load_split", "examples", "strata", "groups", "resampling", "cache"})


INNER = frozenset({"bind", "_backend", "_bound"})
"""Attributes that lead into the harness."""
_BEHIND: weakref.WeakKeyDictionary[WorkloadView, tuple[Workload, Callable[[str], None]]] = weakref.WeakKeyDictionary()
"""What a view stands for, and who is told of what is done with it; not in the view itself, which an entry holds."""


class WorkloadView:
    """Passes reading on to a workload, and reports what an entry must not do with it.

    Raises:
      AttributeError: for an attribute that is not shown, and for every assignment.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, workload: Workload, report: Callable[[str], None]) -> None:
        _BEHIND[self] = workload, report

    def __getattr__(self, name: str) -> Any:
        workload, report = _BEHIND[self]
        if name in IDENTITY:
            report(f"asks which workload it is: workload.{name}")
            raise AttributeError(f"a submission must work without knowing the workload, so there is no workload.{name}")
        if name in DATA:
            report(f"reaches for data beside its input queue: workload.{name}")
            raise AttributeError(f"a submission gets its data from its input queue, so there is no workload.{name}")
        if name in INNER:
            report(f"reaches for the harness: workload.{name}")
            raise AttributeError(f"workload.{name} is the harness's")
        return getattr(workload, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _BEHIND[self][1](f"changes the workload: workload.{name}")
        raise AttributeError(f"workload.{name} cannot be set: keep what you need in optimizer_state")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)
