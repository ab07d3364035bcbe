"""The workload as an entry sees it: AlgoPerf's attributes and methods, to be read; nothing by which to tell which
workload it is, and no way to its data but the input queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from harness.spec import Workload

IDENTITY: frozenset[str] = frozenset(
    {"name", "full_name", "variant", "variants", "version", "summary", "data_dir", "scale", "base_settings", "settings"}
)
"""Attributes of the workload that say which one it is."""
DATA = frozenset({"load_split", "examples", "strata", "groups", "resampling", "cache"})


INNER = frozenset({"bind", "_backend", "_bound"})
"""Attributes that lead into the harness."""
_MISSING = object()
Report = Callable[[str], None]


def _shown_class() -> Callable[[MethodType], Callable[..., Any]]:
    # No table of weak references, whose callbacks lead to it; views keep what they have shown.
    methods: dict[int, MethodType] = {}

    class Shown:
        """A method of the workload, without the way back to the workload that a bound method has."""

        __slots__ = ("__weakref__",)  # jax keeps functions by weak references

        def __init__(self, method: MethodType) -> None:
            methods[id(self)] = method

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return methods[id(self)](*args, **kwargs)

        @property
        def __name__(self) -> str:
            return methods[id(self)].__name__

        @property
        def __doc__(self) -> str | None:  # type: ignore[override]
            return methods[id(self)].__doc__

        @property
        def __signature__(self) -> inspect.Signature:
            return inspect.signature(methods[id(self)])

    return Shown


def _view_class(shown: Callable[[MethodType], Callable[..., Any]]) -> Callable[[Workload, Report], Any]:
    """The class, with what its views stand for, who is told of what is done with them, and the methods that were asked
    for: not in the views, which an entry holds, nor in a table of this module, which it could look up."""
    behind: dict[int, tuple[Workload, Report, dict[str, Any]]] = {}

    class WorkloadView:
        """Passes reading on to a workload, and reports what an entry must not do with it.

        Raises:
          AttributeError: for an attribute that is not shown, and for every assignment.
        """

        __slots__ = ("__weakref__",)  # an entry may have a table by workload

        def __init__(self, workload: Workload, report: Report) -> None:
            behind[id(self)] = workload, report, {}

        def __getattr__(self, name: str) -> Any:
            workload, report, methods = behind[id(self)]
            if name in methods:
                return methods[name]
            if name in IDENTITY:
                report(f"asks which workload it is: workload.{name}")
                raise AttributeError(f"a submission must work without knowing the workload: no workload.{name}")
            if name in DATA:
                report(f"reaches for data beside its input queue: workload.{name}")
                raise AttributeError(f"a submission gets its data from its input queue: there is no workload.{name}")
            if name in INNER:
                report(f"reaches for the harness: workload.{name}")
                raise AttributeError(f"workload.{name} is the harness's")
            try:
                value = getattr(workload, name)
            except AttributeError:  # which has the workload, and names its class
                value = _MISSING
            if value is _MISSING or name.startswith("__"):
                raise AttributeError(f"the workload has no attribute {name!r}")
            if not isinstance(value, MethodType) or value.__self__ is not workload:
                return value
            return methods.setdefault(name, shown(value))

        def __setattr__(self, name: str, value: Any) -> None:
            behind[id(self)][1](f"changes the workload: workload.{name}")
            raise AttributeError(f"workload.{name} cannot be set: keep what you need in optimizer_state")

        def __delattr__(self, name: str) -> None:
            self.__setattr__(name, None)

    return WorkloadView


WorkloadView = _view_class(_shown_class())
