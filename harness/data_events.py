"""Functions that hand out a workload's data say so by an audit event, which :mod:`harness.listener` hears."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

DATA_EVENT = "timetrial.data"


def loads_split(split: str) -> str:
    return f"loads the split {split!r}"


def announced(describe: Callable[..., str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the event's argument is what ``describe`` makes of the call's arguments."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            sys.audit(DATA_EVENT, describe(*args, **kwargs))
            return function(*args, **kwargs)

        del call.__wrapped__
        call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return call

    return decorate


def generates(*_: object, **__: object) -> str:
    return "generates the workload's data"
